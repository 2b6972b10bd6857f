// One column of CSV as bytes, by the text kernel. It reads sound rows only: it stops in front of a row that is broken (or has
// no end in the part), and the reader in JavaScript, whose rules are the rules, goes on from there for a while. So records,
// failures and their places are the same on both ways.
import { closeSync, openSync, readSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import type { Counter } from '../../../native/text/counter.ts'
import type { RowReader as KernelReader } from '../../../native/text/reader.ts'
import { textKernel } from '../../text.ts'
import type { ReadBatch, RunContext } from '../../define.ts'
import { RowParser, isEmptyLine } from './csv.ts'
import { type FileEntry, type FilesOptions, dialectOf } from './format.ts'
import { RowReader, longestRow } from './rows.ts'
import type { TextSource } from './source.ts'

// The kernel has no more columns.
const mostColumns = 255
// How much the other reader does before the kernel is tried again: a file full of broken rows is not read twice.
const detourBytes = 256 * 1024
// After so much, about ten milliseconds, other things have their turn.
const turnBytes = 4 * 1024 * 1024

const noRecords = { kind: 'records' as const, records: [] }

/** The index of the column, where the kernel can read it. */
export function kernelColumn(source: TextSource, entry: FileEntry, options: FilesOptions): number | undefined {
  const { column } = options
  const { name, fatal } = source.encoding
  if (column === undefined || name !== 'utf-8' || fatal) return undefined
  const index = typeof column === 'string' ? (entry.columns ?? []).lastIndexOf(column) : column
  return index >= 0 && index < mostColumns ? index : undefined
}

/** As csvBatches, for the column that kernelColumn gave. */
export async function* columnBatches(
  source: TextSource,
  entry: FileEntry,
  from: number,
  to: number,
  options: FilesOptions,
  context: RunContext,
  column: number,
  longest = longestRow,
  detour = detourBytes,
): AsyncGenerator<ReadBatch> {
  const { delimiter, quote } = options
  const dialect = { delimiter, quote, maxRowBytes: longest }
  const kernel = textKernel().csvReader({ columns: [column], ...dialect, strict: true, reuse: true })
  const reader = new RowReader(source, entry, options, context, longest)
  try {
    for (let at: number | undefined = from; at !== undefined && at < to;) {
      const start: number = at
      let end: number = start
      if (context.texts !== undefined) {
        for (const rows of countedRows(kernel, context.texts, source.path, start, to)) {
          await setImmediate()
          yield { batch: noRecords, taken: rows }
        }
        end = start + kernel.position
        kernel.restart()
        at = end < to ? yield* reader.read(end, to, end + detour) : undefined
        continue
      }
      let left = to - start
      for await (const chunk of source.chunks(start, true)) {
        const { columns, stopped } = kernel.push(left < chunk.length ? chunk.subarray(0, left) : chunk)
        const [texts] = columns
        const first = end
        end = start + kernel.position
        if (texts !== undefined && texts.length > 0) {
          const places = new Places(source, first, end, options)
          yield { batch: { kind: 'text', ...texts }, place: (i) => places.of(i) }
        }
        left -= chunk.length
        if (stopped || left <= 0) break
      }
      kernel.restart()
      at = end < to ? yield* reader.read(end, to, end + detour) : undefined
    }
  } finally {
    kernel.close()
  }
}

/**
 * Counts the rows of [from, to) up to the first broken one, without a copy of them outside of the kernel. Gives the numbers
 * of rows from time to time.
 */
function* countedRows(
  kernel: KernelReader,
  counter: Counter,
  path: string,
  from: number,
  to: number,
): Generator<number> {
  const file = openSync(path, 'r')
  try {
    let rows = 0
    let taken = 0
    for (let at = from; at < to;) {
      const room = kernel.room()
      // A promise for each piece would cost as much as the piece.
      const size = readSync(file, room, 0, Math.min(room.length, to - at), at)
      if (size === 0) break
      const counted = kernel.countFilled(counter, size)
      rows += counted.rows
      at += size
      taken += size
      if (counted.stopped) break
      if (taken < turnBytes) continue
      yield rows
      rows = 0
      taken = 0
    }
    yield rows
  } finally {
    closeSync(file)
  }
}

/** Where the rows of a batch are. Most batches are never asked: it reads them again. */
class Places {
  readonly #source: TextSource
  readonly #from: number
  readonly #to: number
  readonly #options: FilesOptions
  #offsets: Promise<readonly number[]> | undefined

  /** All rows of [from, to) are sound. */
  constructor(source: TextSource, from: number, to: number, options: FilesOptions) {
    this.#source = source
    this.#from = from
    this.#to = to
    this.#options = options
  }

  async of(index: number): Promise<string> {
    this.#offsets ??= this.#find()
    return this.#source.place((await this.#offsets)[index] as number)
  }

  async #find(): Promise<readonly number[]> {
    const size = this.#to - this.#from
    const pieces: Buffer[] = []
    let read = 0
    for await (const chunk of this.#source.chunks(this.#from)) {
      pieces.push(chunk)
      read += chunk.length
      if (read >= size) break
    }
    const bytes = Buffer.concat(pieces, size)
    const parser = new RowParser(dialectOf(this.#options))
    const offsets: number[] = []
    for (let at = 0; at < size;) {
      const end = parser.parse(bytes, at, size, true, 0, -1)
      if (!isEmptyLine(bytes, at, end)) offsets.push(this.#from + at)
      at = end
    }
    return offsets
  }
}
