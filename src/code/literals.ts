// The sources that travel: cut out of their scripts, with the few edits that their new place asks for. Every other character,
// and with it every line of a stack, stays as it was written (or is put back there: layout.ts).
import { isBuiltin } from 'node:module'
import { dirname } from 'node:path'
import type { AnyNode } from 'acorn'
import { layoutEdits, type Edit } from './layout.ts'
import { packageNameOf, vitePackage } from './packages.ts'
import type { Entry, Script } from './script.ts'
import { computedMethods, evaluatedParts, shapeOf } from './shape.ts'
import { isClass } from './syntax.ts'
import type { WireLiteral } from './wire.ts'

/** What `import` is called in shipped sources: the worker's own, which finds packages from its place. */
export const importer = '$gmImport'

export class LiteralTable {
  readonly literals: WireLiteral[] = []
  readonly files: string[] = []
  readonly #ids = new Map<string, number>()
  readonly #fileIds = new Map<string, number>()

  /** @param cells the names that stand for a shared variable: `name` becomes `name.v`. */
  add(script: Script, entry: Entry, names: readonly string[], cells: ReadonlySet<string>): number {
    const key = [script.id, entry.start, ...cells].join(' ')
    let id = this.#ids.get(key)
    if (id === undefined) {
      const { file, line, column } = script.position(entry.start)
      id =
        this.literals.push({
          form: entry.kind === 'method' ? 'method' : 'expression',
          file: this.#file(file),
          line,
          column,
          strict: entry.strict,
          source: edited(script.source, entry, this.#edits(script, entry, cells)),
          names,
        }) - 1
      this.#ids.set(key, id)
    }
    return id
  }

  /** What a dynamic import asks for on the worker: a package or a module of Node; undefined for local modules. */
  importedAs({ path }: Script, specifier: string): string | undefined {
    const place = path === undefined ? process.cwd() : dirname(path)
    const wanted = vitePackage(specifier, place)
    return wanted !== undefined && (isBuiltin(wanted) || packageNameOf(wanted) !== undefined) ? wanted : undefined
  }

  #edits(script: Script, entry: Entry, cells: ReadonlySet<string>): Edit[] {
    const { node } = entry
    const { source } = script
    const shape = shapeOf(node)
    const edits = layoutEdits(script, entry)
    for (const { start, end, specifier } of shape.dynamicImports) {
      edits.push({ start, end, text: importer })
      const wanted = specifier && this.importedAs(script, specifier.value)
      if (specifier === undefined || wanted === undefined || wanted === specifier.value) continue
      edits.push({ start: specifier.start, end: specifier.end, text: JSON.stringify(wanted) })
    }
    for (const name of cells) {
      for (const { start, end, shorthand, called } of shape.free.get(name)?.uses ?? []) {
        const cell = `${name}.v`
        edits.push({ start, end, text: shorthand ? `${name}:${cell}` : called ? `(0,${cell})` : cell })
      }
    }
    if (isClass(node)) {
      const keys = new Map(computedMethods(node).map(({ member, name }): [AnyNode, string] => [member.key, name]))
      for (const part of evaluatedParts(node)) {
        // Any constructor will do to make the class a derived one; its real parent is put in place when it is loaded.
        const text = part === node.superClass ? 'Object' : (keys.get(part) ?? blank(source, part))
        edits.push({ start: part.start, end: part.end, text })
      }
    }
    if (entry.key !== undefined) edits.push({ start: entry.key[0], end: entry.key[1], text: '_' })
    return edits
  }

  #file(file: string): number {
    let id = this.#fileIds.get(file)
    if (id === undefined) {
      id = this.files.push(file) - 1
      this.#fileIds.set(file, id)
    }
    return id
  }
}

const blank = (source: string, { start, end }: AnyNode): string =>
  source.slice(start, end).replace(/[^\n\r\u2028\u2029]/g, ' ')

function edited(source: string, { start, end }: Entry, edits: Edit[]): string {
  let text = ''
  let at = start
  for (const edit of edits.sort((a, b) => a.start - b.start || a.end - b.end)) {
    text += source.slice(at, edit.start) + edit.text
    at = edit.end
  }
  return text + source.slice(at, end)
}
