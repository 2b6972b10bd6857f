// The lines of a text file, in groups, with their numbers.
import { createReadStream } from 'node:fs'
import { fileError } from './band.ts'

/** Some lines that follow each other. */
export interface LineGroup {
  /** Number of the first, from 1. */
  readonly first: number
  readonly texts: readonly string[]
}

const chunkBytes = 256 * 1024
/** A row that is longer is no row of a matrix that fits in memory. */
const longestLine = 256 * 1024 * 1024

/** Ends of lines are LF or CRLF; a mark of the byte order is left out. */
export async function* lineGroups(path: string): AsyncGenerator<LineGroup> {
  let rest = ''
  let first = 1
  // Numbers are ASCII: what else there is cannot be read anyway, and is shown as it comes.
  for await (const chunk of createReadStream(path, { encoding: 'latin1', highWaterMark: chunkBytes })) {
    const text = rest + String(chunk)
    const texts = text.split('\n')
    rest = texts.pop() ?? ''
    if (rest.length > longestLine) throw fileError(path, 'the line is too long', first + texts.length)
    if (first === 1 && texts.length > 0) texts[0] = withoutMark(texts[0] ?? '')
    if (texts.length > 0) yield { first, texts: texts.map(withoutReturn) }
    first += texts.length
  }
  if (first === 1) rest = withoutMark(rest)
  if (rest !== '') yield { first, texts: [withoutReturn(rest)] }
}

function withoutMark(text: string): string {
  return text.startsWith('\u00ef\u00bb\u00bf') ? text.slice(3) : text
}

function withoutReturn(text: string): string {
  return text.endsWith('\r') ? text.slice(0, -1) : text
}

const decimal = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eEdD][+-]?\d+)?$/
const special = new Map([
  ['nan', Number.NaN],
  ['inf', Infinity],
  ['infinity', Infinity],
])

/** The number that a text stands for, as NumPy, Python and Fortran write them; undefined where it is none. */
export function parseNumber(text: string): number | undefined {
  const trimmed = text.trim()
  if (decimal.test(trimmed)) {
    const value = Number(trimmed)
    return Number.isNaN(value) ? Number(trimmed.replace(/[dD]/, 'e')) : value
  }
  const [, sign = '', name = ''] = /^([+-]?)(\w+)$/.exec(trimmed) ?? []
  const value = special.get(name.toLowerCase())
  return value === undefined ? undefined : sign === '-' ? -value : value
}
