// Sorts the rows of a map by their key words, in bounded memory: batches are sorted where they are and spilled to a
// file without a name, then merged. Rows with equal words stay in the order in which they were added.
import { closeSync, openSync, readSync, unlinkSync, writeSync } from 'node:fs'
import { randomBytes } from 'node:crypto'
import { BufferError } from '../errors.ts'

/** Rows sorted at a time: 2^20, so that a 32-bit word and the number of a row fit into one float. */
const BATCH = 2 ** 20
/** Words of a row: key (high, low), place (position, segment). */
export const ROW_WORDS = 4
/** Rows of each run that are in memory while merging. */
const WINDOW = 4096

/** One sorted run of rows, in memory or in the spill file. */
interface RunReader {
  /** The words of the current row begin here in `words`. */
  at: number
  words: Uint32Array
  /** Moves to the next row; false at the end. */
  next(): boolean
}

export class RowSorter {
  readonly #spillPath: string
  readonly #batchRows: number
  #rows = new Uint32Array(4096 * ROW_WORDS)
  #count = 0
  #fd = -1
  #spilled = 0
  readonly #runs: { readonly from: number; readonly rows: number }[] = []

  /** `batchRows`: rows in memory, 2^20 (16 MiB) at most. */
  constructor(spillPath: string, batchRows = BATCH) {
    this.#spillPath = spillPath
    this.#batchRows = Math.min(batchRows, BATCH)
  }

  add(high: number, low: number, position: number, segment: number): void {
    if (this.#count === this.#batchRows) this.#spill()
    const at = this.#count * ROW_WORDS
    if (at === this.#rows.length) {
      const more = new Uint32Array(this.#rows.length * 2)
      more.set(this.#rows)
      this.#rows = more
    }
    this.#rows[at] = high
    this.#rows[at + 1] = low
    this.#rows[at + 2] = position
    this.#rows[at + 3] = segment
    this.#count++
  }

  /** Gives every row in order: `words` and where in it the row begins. Once only. */
  each(visit: (words: Uint32Array, at: number) => void): void {
    const last = sorted(this.#rows, this.#count)
    if (this.#runs.length === 0) {
      for (let at = 0; at < last.length; at += ROW_WORDS) visit(last, at)
      return
    }
    const readers: RunReader[] = this.#runs.map(({ from, rows }) => new SpilledRun(this.#fd, from, rows))
    readers.push(new HeldRun(last))
    merge(readers, visit)
  }

  close(): void {
    if (this.#fd >= 0) closeSync(this.#fd)
    this.#fd = -1
  }

  #spill(): void {
    const rows = sorted(this.#rows, this.#count)
    if (this.#fd < 0) this.#fd = openNameless(this.#spillPath)
    const bytes = new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength)
    try {
      for (let done = 0; done < bytes.length;) {
        done += writeSync(this.#fd, bytes, done, bytes.length - done, this.#spilled + done)
      }
    } catch (cause) {
      throw new BufferError('BUFFER_FILE', `cannot sort rows beside ${this.#spillPath}`, { cause })
    }
    this.#runs.push({ from: this.#spilled, rows: this.#count })
    this.#spilled += bytes.length
    this.#count = 0
  }
}

function openNameless(path: string): number {
  const name = `${path}.${process.pid}.${randomBytes(4).toString('hex')}.rows`
  try {
    const fd = openSync(name, 'wx+')
    unlinkSync(name)
    return fd
  } catch (cause) {
    throw new BufferError('BUFFER_FILE', `cannot write ${name}`, { cause })
  }
}

/** The first `count` rows in order. Numbers of rows are the low digits of the floats that are sorted: stable. */
function sorted(rows: Uint32Array, count: number): Uint32Array {
  const keys = new Float64Array(count)
  for (let row = 0; row < count; row++) keys[row] = (rows[row * ROW_WORDS] as number) * BATCH + row
  keys.sort()
  const order = Uint32Array.from(keys, (key) => key % BATCH)
  orderByLow(rows, order)
  const result = new Uint32Array(count * ROW_WORDS)
  for (let index = 0; index < count; index++) {
    const from = (order[index] as number) * ROW_WORDS
    for (let word = 0; word < ROW_WORDS; word++) result[index * ROW_WORDS + word] = rows[from + word] as number
  }
  return result
}

/** Puts rows of equal high words in the order of their low words. */
function orderByLow(rows: Uint32Array, order: Uint32Array): void {
  const high = (index: number) => rows[(order[index] as number) * ROW_WORDS]
  const low = (row: number) => rows[row * ROW_WORDS + 1] as number
  for (let from = 0, to = 1; from < order.length; from = to++) {
    while (to < order.length && high(to) === high(from)) to++
    if (to - from > 1) order.subarray(from, to).sort((a, b) => low(a) - low(b) || a - b)
  }
}

class HeldRun implements RunReader {
  at = -ROW_WORDS
  readonly words: Uint32Array
  constructor(words: Uint32Array) {
    this.words = words
  }
  next(): boolean {
    this.at += ROW_WORDS
    return this.at < this.words.length
  }
}

class SpilledRun implements RunReader {
  at = 0
  words = new Uint32Array(0)
  readonly #fd: number
  #from: number
  #left: number
  constructor(fd: number, from: number, rows: number) {
    this.#fd = fd
    this.#from = from
    this.#left = rows
  }
  next(): boolean {
    this.at += ROW_WORDS
    if (this.at < this.words.length) return true
    if (this.#left === 0) return false
    const rows = Math.min(this.#left, WINDOW)
    const bytes = new Uint8Array(rows * ROW_WORDS * 4)
    for (let done = 0; done < bytes.length;) {
      const count = readSync(this.#fd, bytes, done, bytes.length - done, this.#from + done)
      if (count === 0) throw new BufferError('BUFFER_FILE', 'the spilled rows of a map are gone')
      done += count
    }
    this.#from += bytes.length
    this.#left -= rows
    this.words = new Uint32Array(bytes.buffer)
    this.at = 0
    return true
  }
}

/** Merges runs by a heap of their current rows; of equal rows the earlier run comes first. */
function merge(readers: readonly RunReader[], visit: (words: Uint32Array, at: number) => void): void {
  const order = new Map(readers.map((reader, index) => [reader, index]))
  const heap = readers.filter((reader) => reader.next())
  const before = (a: RunReader, b: RunReader): boolean => {
    const high = (a.words[a.at] as number) - (b.words[b.at] as number)
    if (high !== 0) return high < 0
    const low = (a.words[a.at + 1] as number) - (b.words[b.at + 1] as number)
    return low !== 0 ? low < 0 : (order.get(a) ?? 0) < (order.get(b) ?? 0)
  }
  const sink = (from: number): void => {
    const item = heap[from] as RunReader
    let place = from
    for (;;) {
      let child = place * 2 + 1
      if (child >= heap.length) break
      const right = heap[child + 1]
      if (right && before(right, heap[child] as RunReader)) child++
      if (before(item, heap[child] as RunReader)) break
      heap[place] = heap[child] as RunReader
      place = child
    }
    heap[place] = item
  }
  for (let place = heap.length >> 1; place >= 0; place--) if (place < heap.length) sink(place)
  for (let first = heap[0]; first; first = heap[0]) {
    visit(first.words, first.at)
    if (!first.next()) {
      const last = heap.pop() as RunReader
      if (heap.length === 0) return
      if (last !== first) heap[0] = last
    }
    sink(0)
  }
}
