// The `@example`s of public docstrings as one module for the compiler.
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'

/** The entries of the package: their exports are in scope of every example. */
const entries = { gearmill: 'src/index.ts', 'gearmill/buffers': 'src/buffers/index.ts' }

/** What examples take for granted. */
const given = `
declare const mill: import('gearmill').Mill
declare const pipeline: import('gearmill').Pipeline<string>
declare function connectToDb(): Promise<{ insert(row: string): Promise<void>; close(): Promise<void> }>
`

export async function docstringModule(root: string): Promise<string> {
  const imports: string[] = []
  const examples: string[] = []
  const known = new Set<string>()
  for (const [specifier, entry] of Object.entries(entries)) {
    // What both entries export is one thing.
    const names = Object.keys(await import(specifier)).filter((name) => !known.has(name))
    for (const name of names) known.add(name)
    imports.push(`import { ${names.join(', ')} } from '${specifier}'`)
    const source = await readFile(join(root, entry), 'utf8')
    for (const path of new Set(Array.from(source.matchAll(/ from '(\.[^']+)'/g), (match) => match[1] as string))) {
      const file = join(root, entry, '..', path)
      for (const example of examplesOf(await readFile(file, 'utf8'))) {
        examples.push(
          `// ${file.slice(root.length)}\nexport async function example${examples.length}() {\n${example}\n}`,
        )
      }
    }
  }
  return [...imports, given, ...examples, ''].join('\n')
}

function examplesOf(source: string): string[] {
  const found: string[] = []
  for (const [comment] of source.matchAll(/\/\*\*[\s\S]*?\*\//g)) {
    const text = comment.replaceAll(/^\s*(?:\/\*\*|\*\/|\*) ?|\s*\*\/$/gm, '')
    for (const [, example] of text.matchAll(/@example\s+([\s\S]*?)(?=^@|$(?![\s\S]))/gm)) found.push(example as string)
  }
  return found
}
