// Batches of CSV records: one column's strings, or an object for each row. What is a row, and what a broken one costs, is
// decided here; columns.ts only does sound rows faster.
import { PlanError } from '../../../errors.ts'
import type { ReadBatch, RunContext } from '../../define.ts'
import { RowParser, isEmptyLine } from './csv.ts'
import { type FileEntry, type FilesOptions, dialectOf } from './format.ts'
import { inPieces } from './pieces.ts'
import type { TextSource } from './source.ts'

const recordsTogether = 1000
// A row that is longer is broken; also how far a quote without an end is followed.
export const longestRow = 16 * 1024 * 1024

/** The records of the rows that lie in [from, to); a row whose quote is never closed counts for its first line only. */
export async function* csvBatches(
  source: TextSource,
  entry: FileEntry,
  from: number,
  to: number,
  options: FilesOptions,
  context: RunContext,
  longest = longestRow,
): AsyncGenerator<ReadBatch> {
  if (from >= to) return
  const reader = new RowReader(source, entry, options, context, longest)
  for (let at: number | undefined = from; at !== undefined && at < to;) at = yield* reader.read(at, to)
}

export class RowReader {
  readonly #source: TextSource
  readonly #context: RunContext
  readonly #parser: RowParser
  readonly #longest: number
  readonly #decode: (bytes: Buffer, from: number, to: number) => string
  readonly #quote: string
  readonly #doubled: string
  readonly #width: number
  readonly #names: readonly string[]
  /** Index of the column that an assignment does not set, -1 where there is none of this name. */
  readonly #proto: number
  /** Index of the only column that is wanted. */
  readonly #only: number | undefined

  #records: unknown[] = []
  #offsets: number[] = []

  constructor(source: TextSource, entry: FileEntry, options: FilesOptions, context: RunContext, longest: number) {
    this.#longest = longest
    const names = entry.columns ?? []
    const { column, quote } = options
    this.#source = source
    this.#context = context
    this.#parser = new RowParser(dialectOf(options))
    const decode = source.encoding.decoder()
    this.#decode = options.column === undefined ? inPieces(decode) : decode
    this.#quote = quote
    this.#doubled = quote + quote
    this.#width = names.length
    this.#names = names
    this.#proto = names.lastIndexOf('__proto__')
    this.#only = typeof column === 'string' ? names.lastIndexOf(column) : column
  }

  /**
   * Reads rows from `from` on; returns where to go on: behind a quote that is never closed, or at the first row that starts
   * at `enough` or behind.
   */
  async *read(from: number, to: number, enough = Infinity): AsyncGenerator<ReadBatch, number | undefined> {
    const parser = this.#parser
    const first = this.#only ?? 0
    const last = this.#only ?? Infinity
    let rest: Buffer = Buffer.alloc(0)
    // Where `rest` starts in the file.
    let offset = from
    let waiting: Buffer[] = []
    let waited = 0
    for await (const chunk of this.#source.chunks(from)) {
      waiting.push(chunk)
      waited += chunk.length
      // A long row is parsed again only when twice as much of it is there.
      if (waited < rest.length && offset + rest.length + waited < to) continue
      const bytes = rest.length === 0 && waiting.length === 1 ? chunk : Buffer.concat([rest, ...waiting])
      waiting = []
      waited = 0
      const size = Math.min(bytes.length, to - offset)
      const whole = size < bytes.length || offset + size === to
      let at = 0
      while (at < size) {
        if (offset + at >= enough) {
          if (this.#records.length > 0) yield this.#flush()
          return offset + at
        }
        const end = parser.parse(bytes, at, size, whole, first, last)
        if (end < 0) break
        const refusing = this.#take(bytes, at, end, offset + at)
        if (refusing !== undefined) await refusing
        at = end
        if (this.#records.length >= recordsTogether) yield this.#flush()
      }
      if (size - at > this.#longest && !whole) {
        if (this.#records.length > 0) yield this.#flush()
        return await this.#stepOver(bytes, at, size, offset)
      }
      rest = bytes.subarray(at, size)
      offset += at
      if (whole) break
    }
    if (waited > 0) rest = Buffer.concat([rest, ...waiting])
    for (let at = 0; at < rest.length;) {
      const end = parser.parse(rest, at, rest.length, true, first, last)
      if (end < 0) {
        const found = rest.indexOf(10, at)
        const lineEnd = found < 0 ? rest.length : found + 1
        await this.#refuse('a quote is not closed', rest, at, lineEnd, offset + at)
        if (this.#records.length > 0) yield this.#flush()
        return found < 0 ? undefined : offset + lineEnd
      }
      const refusing = this.#take(rest, at, end, offset + at)
      if (refusing !== undefined) await refusing
      at = end
      if (this.#records.length >= recordsTogether) yield this.#flush()
    }
    if (this.#records.length > 0) yield this.#flush()
    return undefined
  }

  /** Reports a row that is too long; gives where the next one starts. */
  async #stepOver(bytes: Buffer, at: number, size: number, offset: number): Promise<number> {
    const lineEnd = bytes.indexOf(10, at) + 1
    const limit = `${this.#longest} bytes`
    if (this.#parser.open && lineEnd > 0 && lineEnd < size) {
      await this.#refuse(`a quote is not closed within ${limit}`, bytes, at, lineEnd, offset + at)
      return offset + lineEnd
    }
    await this.#refuse(`the row is longer than ${limit}`, bytes, at, size, offset + at)
    let next = offset + size
    for await (const chunk of this.#source.chunks(next)) {
      const end = chunk.indexOf(10)
      if (end >= 0) return next + end + 1
      next += chunk.length
    }
    return next
  }

  #flush(): ReadBatch {
    const records = this.#records
    const offsets = this.#offsets
    this.#records = []
    this.#offsets = []
    return { batch: { kind: 'records', records }, place: (i) => this.#source.place(offsets[i] as number) }
  }

  #take(bytes: Buffer, from: number, end: number, offset: number): Promise<void> | undefined {
    const { broken, fields, bounds } = this.#parser
    if (fields === 1 && isEmptyLine(bytes, from, end)) return undefined
    if (broken !== undefined) return this.#refuse(broken, bytes, from, end, offset)
    // Where one column is asked for, the others need not be there.
    if (this.#only === undefined ? fields !== this.#width : fields <= this.#only) {
      return this.#refuse(`${fields} fields where the first row has ${this.#width}`, bytes, from, end, offset)
    }
    try {
      this.#records.push(this.#only === undefined ? this.#row(bytes, bounds) : this.#field(bytes, bounds, 0))
    } catch (error) {
      return this.#fail(error, bytes, from, end, offset)
    }
    this.#offsets.push(offset)
    return undefined
  }

  #row(bytes: Buffer, bounds: readonly number[]): Record<string, string> {
    const row: Record<string, string> = {}
    for (let i = 0; i < this.#names.length; i++) row[this.#names[i] as string] = this.#field(bytes, bounds, i)
    if (this.#proto >= 0) {
      const value = this.#field(bytes, bounds, this.#proto)
      Object.defineProperty(row, '__proto__', { value, enumerable: true, writable: true, configurable: true })
    }
    return row
  }

  #field(bytes: Buffer, bounds: readonly number[], i: number): string {
    const text = this.#decode(bytes, bounds[3 * i] as number, bounds[3 * i + 1] as number)
    return bounds[3 * i + 2] === 1 ? text.replaceAll(this.#doubled, this.#quote) : text
  }

  async #refuse(why: string, bytes: Buffer, from: number, end: number, offset: number): Promise<void> {
    const place = await this.#source.place(offset)
    this.#context.fail(new PlanError('PLAN_CSV', `${place}: ${why}`), textOf(bytes, from, end), place)
  }

  async #fail(error: unknown, bytes: Buffer, from: number, end: number, offset: number): Promise<void> {
    this.#context.fail(error, textOf(bytes, from, end), await this.#source.place(offset))
  }
}

function textOf(bytes: Buffer, from: number, end: number): string {
  return bytes.toString('latin1', from, Math.min(end, from + 1000))
}
