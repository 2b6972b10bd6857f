// Reads rows of CSV, or lines, from chunks of bytes: to columns, or straight into a counter.
import { PlanError } from '../../errors.ts'
import { ColumnBuilder, type TextColumn } from './column.ts'
import type { Counter } from './counter.ts'
import {
  CSV_BYTES,
  CSV_COLUMNS,
  CSV_DELIMITER,
  CSV_END,
  CSV_LAST,
  CSV_LAST_COLUMN,
  CSV_LIMIT,
  CSV_POSITION,
  CSV_PROBLEMS,
  CSV_QUOTE,
  CSV_ROW,
  CSV_SKIPPING,
  CSV_STOPPED,
  CSV_STRICT,
  CSV_WANTED,
  PROBLEM_BYTES,
  PROBLEM_GARBAGE,
  PROBLEM_LONG,
  PROBLEM_SHORT,
  PROBLEM_UNTERMINATED,
  SCAN_PROBLEMS,
  SCAN_ROWS,
  SPAN_BYTES,
  TOKENS_WHOLE,
} from './layout.ts'
import type { Block, TextMemory } from './module.ts'
import { deferredTexts } from './staging.ts'

export interface CsvOptions {
  /** Indices (from 0, at most 254, none twice) of the columns to return, in this order. */
  readonly columns: readonly number[]
  /** One ASCII character. Default: ','. */
  readonly delimiter?: string
  /** One ASCII character, or '' where quotes have no meaning. Default: '"'. */
  readonly quote?: string
  /** Leave the first row out. Default: false. */
  readonly header?: boolean
  /** A row that is longer is broken; also how far a quote without an end is followed. At most 1 GiB. Default: 16 MiB. */
  readonly maxRowBytes?: number
  /** Stop in front of a broken row instead of reporting it: what to make of it is the caller's business. Default: false. */
  readonly strict?: boolean
  /** Columns are good until the next push(), which overwrites them. Default: false, they are the caller's. */
  readonly reuse?: boolean
}

export type RowProblemKind = 'short' | 'unterminated' | 'garbage' | 'long'

/** A row that was not returned. The rows after it are. */
export interface RowProblem {
  /** Too few columns; a quote without an end; something between a closing quote and the next delimiter; too many bytes. */
  readonly kind: RowProblemKind
  /** Rows of this reader before it, broken ones and the header included. Blank lines are no rows. */
  readonly row: number
  /** Bytes given to this reader before the row. */
  readonly offset: number
  /** Bytes given to this reader before the fault: the quote, the first wrong byte, or the start of the row. */
  readonly faultOffset: number
}

export interface Counted {
  /** The number of values that were counted. */
  readonly rows: number
  readonly problems: readonly RowProblem[]
  /** A strict reader stands in front of a broken row, at `position`; it has to be restarted. */
  readonly stopped: boolean
}

export interface Extracted extends Counted {
  /** One for each column asked for, with a value for each row. */
  readonly columns: readonly TextColumn[]
}

// A piece stays in the second-level cache from the search for its rows to the counting of its words.
const pieceBytes = 1 << 18
const defaultRowBytes = 16 << 20
const mostRowBytes = 1 << 30
const noQuote = 256

const kinds: Readonly<Record<number, RowProblemKind>> = {
  [PROBLEM_SHORT]: 'short',
  [PROBLEM_UNTERMINATED]: 'unterminated',
  [PROBLEM_GARBAGE]: 'garbage',
  [PROBLEM_LONG]: 'long',
}

/** Takes the spans of `count` values of each column; the spans of column c start `c * SCAN_ROWS` spans on. */
type Take = (spans: number, count: number) => void

/**
 * Rows of CSV (RFC 4180) or lines. A chunk may end anywhere: what is not complete waits for the next one. After the last
 * chunk the reader starts anew. Blank lines of CSV are no rows. A byte order mark at the start is the caller's to leave out.
 */
export class RowReader {
  readonly #memory: TextMemory
  readonly #isCsv: boolean
  readonly #header: boolean
  readonly #reuse: boolean
  readonly #limit: number
  readonly #scanner: Block
  readonly #wanted: Block
  readonly #spans: Block
  readonly #problems: Block
  #buffer: Block
  #output: Block
  readonly #offsets: Block
  /** Bytes of an incomplete row at the start of the buffer. */
  #tail = 0
  /** A row that goes on is not looked at before this many bytes are there: a long one costs linear time. */
  #enough = 0
  /** Where columns are overwritten by the next ones. */
  #builders: readonly ColumnBuilder[] | undefined
  /** Bytes and values that a chunk is likely to give for each column: what the last one gave, and some more. */
  #expected: readonly (readonly [bytes: number, texts: number])[]
  /** Bytes given before those in the buffer. */
  #before = 0

  /** Made by `TextKernel.csvReader` and `.lineReader`. */
  constructor(memory: TextMemory, csv: CsvOptions | undefined) {
    const { columns = [0], header = false, strict = false, reuse = false } = csv ?? {}
    const { delimiter = ',', quote = '"', maxRowBytes = defaultRowBytes } = csv ?? {}
    checkColumns(columns)
    checkRowBytes(maxRowBytes)
    const delimiterByte = byteOf('delimiter', delimiter)
    const quoteByte = quote === '' ? noQuote : byteOf('quote', quote)
    if (delimiterByte === quoteByte) {
      throw new PlanError('PLAN_OPTION', `delimiter and quote: expected two characters, got ${JSON.stringify(quote)}`)
    }
    this.#memory = memory
    this.#expected = columns.map(() => [1 << 12, 1 << 8])
    this.#isCsv = csv !== undefined
    this.#header = header
    this.#reuse = reuse
    this.#limit = maxRowBytes
    this.#scanner = memory.alloc(CSV_BYTES)
    this.#wanted = memory.alloc(256)
    this.#spans = memory.alloc(columns.length * SCAN_ROWS * SPAN_BYTES)
    this.#problems = memory.alloc(SCAN_PROBLEMS * PROBLEM_BYTES)
    this.#buffer = memory.alloc(pieceBytes)
    this.#output = memory.alloc(0)
    this.#offsets = memory.alloc((SCAN_ROWS + 1) * 4)

    const wanted = this.#wanted.address
    memory.bytes.fill(0xff, wanted, wanted + 256)
    columns.forEach((column, index) => (memory.bytes[wanted + column] = index))
    const scanner = this.#scanner.address
    memory.bytes.fill(0, scanner, scanner + CSV_BYTES)
    memory.setWord(scanner + CSV_DELIMITER, delimiterByte)
    memory.setWord(scanner + CSV_QUOTE, quoteByte)
    memory.setWord(scanner + CSV_WANTED, wanted)
    memory.setWord(scanner + CSV_COLUMNS, columns.length)
    memory.setWord(scanner + CSV_LAST_COLUMN, Math.max(...columns))
    memory.setWord(scanner + CSV_LIMIT, maxRowBytes)
    memory.setWord(scanner + CSV_STRICT, strict ? 1 : 0)
  }

  /** The values of the rows that this chunk completes. Bytes that are not UTF-8 become U+FFFD, as TextDecoder does. */
  push(chunk: Uint8Array, last = false): Extracted {
    const builders = this.#builders ?? this.#expected.map(([bytes, texts]) => new ColumnBuilder(bytes, texts))
    if (this.#reuse) this.#builders = builders
    for (const builder of builders) builder.restart()
    const counted = this.#feed(chunk, last, (spans, count) => {
      builders.forEach((builder, index) => this.#extract(builder, spans + index * SCAN_ROWS * SPAN_BYTES, count))
    })
    const read = builders.map((builder) => builder.finish())
    this.#expected = read.map(({ bytes, length }) => [withRoom(bytes.length), withRoom(length)])
    return { ...counted, columns: read }
  }

  /** Adds the values (of the first column) of the rows that this chunk completes to a counter of the same kernel. */
  count(counter: Counter, chunk: Uint8Array, last = false): Counted {
    return this.#feed(chunk, last, (spans, count) => counter.addSpans(spans, count))
  }

  /**
   * Where the next bytes may be put without a copy: a view of at most a piece, good until anything else is asked of the
   * kernel. countFilled() takes them.
   */
  room(): Uint8Array {
    this.#reserve(pieceBytes)
    const memory = this.#memory
    const start = this.#buffer.address + this.#tail
    return memory.bytes.subarray(start, start + pieceBytes)
  }

  /** As count(), for the first `size` bytes of room(). */
  countFilled(counter: Counter, size: number): Counted {
    const problems: RowProblem[] = []
    const rows = this.#taken(size, false, (spans, count) => counter.addSpans(spans, count), problems)
    return { rows, problems, stopped: this.#isStopped }
  }

  /** Bytes given to this reader before the first row that it has not read to its end. */
  get position(): number {
    return this.#before
  }

  /** Forgets what it was given. */
  restart(): void {
    this.#tail = 0
    this.#enough = 0
    this.#before = 0
    const scanner = this.#scanner.address
    for (const field of [CSV_ROW, CSV_SKIPPING, CSV_STOPPED]) this.#memory.setWord(scanner + field, 0)
  }

  /** Gives the memory back. The reader is not to be used again. */
  close(): void {
    for (const block of [this.#scanner, this.#wanted, this.#spans, this.#problems]) this.#memory.release(block)
    for (const block of [this.#buffer, this.#output, this.#offsets]) this.#memory.release(block)
  }

  #feed(chunk: Uint8Array, last: boolean, take: Take): Counted {
    const problems: RowProblem[] = []
    let rows = 0
    let from = 0
    let stopped = false
    do {
      const piece = chunk.subarray(from, from + pieceBytes)
      from += piece.length
      const isLast = last && from >= chunk.length
      this.#reserve(piece.length)
      this.#memory.bytes.set(piece, this.#buffer.address + this.#tail)
      rows += this.#taken(piece.length, isLast, take, problems)
      stopped = this.#isStopped
    } while (from < chunk.length && !stopped)
    if (last) this.restart()
    return { rows, problems, stopped }
  }

  get #isStopped(): boolean {
    return this.#memory.word(this.#scanner.address + CSV_STOPPED) !== 0
  }

  /** Takes the rows of `size` more bytes, which lie behind the tail. */
  #taken(size: number, last: boolean, take: Take, problems: RowProblem[]): number {
    this.#tail += size
    if (this.#tail < this.#enough && !last) return 0
    const rows = this.#scan(this.#tail, last, take, problems)
    this.#enough = this.#tail < pieceBytes ? 0 : Math.min(this.#tail * 2, this.#limit + 1)
    return rows
  }

  /** Makes room behind the tail. */
  #reserve(bytes: number): void {
    const memory = this.#memory
    const needed = this.#tail + bytes
    if (needed > this.#buffer.bytes) {
      const larger = memory.alloc(Math.max(needed, this.#buffer.bytes * 2))
      memory.bytes.copyWithin(larger.address, this.#buffer.address, this.#buffer.address + this.#tail)
      memory.release(this.#buffer)
      this.#buffer = larger
    }
  }

  /** Takes all complete rows of the first `size` bytes of the buffer, and moves what is left to its start. */
  #scan(size: number, last: boolean, take: Take, problems: RowProblem[]): number {
    const memory = this.#memory
    const { exports } = memory
    const scanner = this.#scanner.address
    const start = this.#buffer.address
    memory.setWord(scanner + CSV_POSITION, start)
    memory.setWord(scanner + CSV_END, start + size)
    memory.setWord(scanner + CSV_LAST, last ? 1 : 0)
    let rows = 0
    for (;;) {
      const isFirst = memory.word(scanner + CSV_ROW) === 0
      let spans = this.#spans.address
      let found = this.#isCsv
        ? exports.scanCsv(scanner, spans, this.#problems.address)
        : exports.scanLines(scanner, spans)
      const faults = memory.word(scanner + CSV_PROBLEMS)
      const done = found < SCAN_ROWS && faults < SCAN_PROBLEMS
      const isHeaderHere = this.#header && isFirst && memory.word(scanner + CSV_ROW) > 0
      for (let i = 0; i < faults; i++) problems.push(this.#problem(this.#problems.address + i * PROBLEM_BYTES))
      if (isHeaderHere && !problems.some((problem) => problem.row === 0)) {
        spans += SPAN_BYTES
        found--
      }
      if (found > 0) take(spans, found)
      rows += found
      if (done) break
    }
    const consumed = memory.word(scanner + CSV_POSITION) - start
    memory.bytes.copyWithin(start, start + consumed, start + size)
    this.#tail = size - consumed
    this.#before += consumed
    return rows
  }

  #problem(address: number): RowProblem {
    const memory = this.#memory
    const base = this.#before - this.#buffer.address
    return {
      kind: kinds[memory.word(address)] ?? 'garbage',
      row: memory.word(address + 4),
      offset: base + memory.word(address + 8),
      faultOffset: base + memory.word(address + 12),
    }
  }

  #extract(builder: ColumnBuilder, spans: number, count: number): void {
    const memory = this.#memory
    const { exports } = memory
    const deferred = exports.prepare(spans, count, 0)
    if (deferred > 0) {
      const texts = new Map(deferredTexts(memory, spans, count))
      const { bytes, words } = memory
      for (let i = 0; i < count; i++) {
        const text = texts.get(i)
        const word = (spans + i * SPAN_BYTES) >>> 2
        const start = words[word] as number
        if (text === undefined) builder.add(bytes.subarray(start, start + (words[word + 1] as number)))
        else builder.addText(text)
      }
      return
    }
    this.#output = memory.atLeast(this.#output, this.#buffer.bytes)
    const output = this.#output.address
    const offsets = this.#offsets.address
    exports.columnTokens(output, offsets, spans, count, TOKENS_WHOLE)
    const at = offsets >>> 2
    const ends = memory.words.subarray(at, at + count + 1)
    builder.append(memory.bytes.subarray(output, output + (ends[count] as number)), ends, count)
  }
}

function withRoom(size: number): number {
  return size + (size >>> 3) + 64
}

function byteOf(name: string, text: string): number {
  if (text.length === 1 && text.charCodeAt(0) < 0x80 && text !== '\n' && text !== '\r') return text.charCodeAt(0)
  throw new PlanError('PLAN_OPTION', `${name}: expected one ASCII character, got ${JSON.stringify(text)}`)
}

function checkRowBytes(maxRowBytes: number): void {
  if (Number.isInteger(maxRowBytes) && maxRowBytes >= 1 && maxRowBytes <= mostRowBytes) return
  throw new PlanError('PLAN_OPTION', `maxRowBytes: expected an integer from 1 to ${mostRowBytes}, got ${maxRowBytes}`)
}

function checkColumns(columns: readonly number[]): void {
  const isIndex = (column: number) => Number.isInteger(column) && column >= 0 && column < 255
  if (columns.length > 0 && columns.every(isIndex) && new Set(columns).size === columns.length) return
  throw new PlanError(
    'PLAN_OPTION',
    `columns: expected different indices from 0 to 254, got ${JSON.stringify(columns)}`,
  )
}
