// Takes the scripts out of a page of documentation. What the blocks mean is written down in CONTRIBUTING.md.

/** One fenced block of code on the page. */
interface Block {
  readonly language: string
  /** What follows the language on the fence. */
  readonly info: string
  readonly code: readonly string[]
  /** Of its first line of code, from 1. */
  readonly line: number
  /** Only blank lines are between it and the block before. */
  readonly follows: boolean
}

export interface Part {
  readonly line: number
  readonly code: readonly string[]
  /** The lines that it says it prints. */
  readonly prints: readonly string[]
}

/** A block with those that continue it. */
export interface Script {
  readonly language: 'ts' | 'js'
  /** Only checked by the compiler. */
  readonly onlyTypes: boolean
  readonly parts: readonly Part[]
}

export interface Page {
  readonly scripts: readonly Script[]
  /** Files that the page's scripts find in their folder: name -> content. */
  readonly files: ReadonlyMap<string, string>
}

const fence = /^(`{3,})(\w*) ?(.*)$/
const said = /\/\/ -> (.*)$/

export function pageOf(markdown: string): Page {
  const scripts: { language: 'ts' | 'js'; onlyTypes: boolean; parts: Part[] }[] = []
  const files = new Map<string, string>()
  const blocks = blocksOf(markdown)
  for (const [i, { language, info, code, line }] of blocks.entries()) {
    if (language === 'ts' || language === 'js') {
      const next = blocks[i + 1]
      const output = next?.language === 'text' && next.follows ? next.code : undefined
      const part = { line, code, prints: printedBy(code, output, line) }
      const last = scripts.at(-1)
      if (info === 'continued' && last !== undefined && !last.onlyTypes) last.parts.push(part)
      else if (info === '' || info === 'types') scripts.push({ language, onlyTypes: info === 'types', parts: [part] })
      else throw new Error(`line ${line}: '${info}' means nothing here`)
    } else if (language !== '' && info !== '') {
      files.set(info, `${code.join('\n')}\n`)
    }
  }
  return { scripts, files }
}

function printedBy(code: readonly string[], output: readonly string[] | undefined, line: number): readonly string[] {
  const comments = code.flatMap((text) => said.exec(text)?.[1] ?? [])
  if (output !== undefined && comments.length > 0) throw new Error(`line ${line}: its output is said twice`)
  return output ?? comments
}

function blocksOf(markdown: string): readonly Block[] {
  const lines = markdown.split('\n')
  const blocks: Block[] = []
  let follows = false
  for (let at = 0; at < lines.length; at++) {
    const [, ticks, language = '', info = ''] = fence.exec(lines[at] as string) ?? []
    if (ticks === undefined) {
      follows &&= lines[at] === ''
      continue
    }
    const end = lines.indexOf(ticks, at + 1)
    if (end < 0) throw new Error(`line ${at + 1}: the block has no end`)
    blocks.push({ language, info, code: lines.slice(at + 1, end), line: at + 2, follows })
    follows = true
    at = end
  }
  return blocks
}

const mark = '\u001f'

/** The script's text, each line at its place on the page, so that errors name the page's lines. Parts are told apart by marks. */
export function textOf({ parts }: Script): string {
  const lines: string[] = []
  for (const [i, { line, code }] of parts.entries()) {
    if (i > 0) lines.push(`console.log(${JSON.stringify(mark)})`)
    while (lines.length < line - 1) lines.push('')
    lines.push(...code)
  }
  return `${lines.join('\n')}\n`
}

/** What each part printed. */
export function outputsOf(stdout: string): readonly string[] {
  return stdout.split(`${mark}\n`).map(comparable)
}

/** Lines of `app.ts` move with every change of a page: they are not compared. */
export function comparable(output: string): string {
  return output.replaceAll(/\b(app\.[tj]s):\d+(:\d+)?/g, '$1:N').trimEnd()
}
