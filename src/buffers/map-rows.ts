// The sorted rows of a map and the search in them: a guess by interpolation, a second one from what the first found,
// steps that double until the key is bracketed, and a binary search between them. On evenly spread keys that touches
// three or four cache lines.
import type { MapEntry } from './directory.ts'
import type { Segment } from './segment.ts'

/** Rows in the first step of the exponential search: a cache line or two. */
const FIRST_STEP = 8

interface RowRun {
  readonly words: Uint32Array
  readonly count: number
  /** Number of the first row. */
  readonly first: number
  readonly least: number
  /** Rows per unit of the key, for interpolation. */
  readonly slope: number
}

export class MapRows {
  readonly count: number
  readonly #runs: readonly RowRun[]
  /** Words of a row, and of its key. */
  readonly #stride: number
  readonly #double: boolean
  readonly #wide: boolean

  constructor(entry: MapEntry, segments: readonly Segment[]) {
    this.#double = entry.bits === 64
    this.#wide = entry.wide
    this.#stride = entry.bits / 32 + (entry.wide ? 2 : 1)
    let first = 0
    this.#runs = segments.map((segment, index) => {
      const count = entry.rows[index]?.count ?? 0
      const words = new Uint32Array(segment.buffer, 0, count * this.#stride)
      const least = this.#keyOf(words, 0)
      const range = this.#keyOf(words, count - 1) - least
      const run = { words, count, first, least, slope: range > 0 ? (count - 1) / range : 0 }
      first += count
      return run
    })
    this.count = first
  }

  /** The key words of a row as one float: exact for 32 bits, near enough to guess by for 64. */
  #keyOf(words: Uint32Array, row: number): number {
    const at = row * this.#stride
    const high = words[at] as number
    return this.#double ? high * 2 ** 32 + (words[at + 1] as number) : high
  }

  /** The number of the first row whose key is not less than the given one; `count` if there is none. */
  lowerBound(high: number, low: number): number {
    const key = this.#double ? high * 2 ** 32 + low : high
    let index = this.#runFor(key)
    let run = this.#runs[index]
    if (run === undefined) return this.count
    let row = this.#search(run, key)
    if (!this.#double) return run.first + row
    row = this.#refine(run, row, high, low)
    for (let next = this.#runs[++index]; row === run.count && next; next = this.#runs[++index]) {
      run = next
      row = this.#refine(run, 0, high, low)
    }
    return run.first + row
  }

  /** The number of the last run that begins below the key: rows of the key itself may end one run and begin the next. */
  #runFor(key: number): number {
    const runs = this.#runs
    let low = 0
    let high = runs.length - 1
    while (low < high) {
      const middle = (low + high + 1) >>> 1
      if ((runs[middle] as RowRun).least < key) low = middle
      else high = middle - 1
    }
    return low
  }

  /** The first row of a run whose key, as one float, is not less than `key`. */
  #search(run: RowRun, key: number): number {
    const { words, count, slope, least } = run
    let guess = clamp((key - least) * slope, count)
    guess = clamp(guess + (key - this.#keyOf(words, guess)) * slope, count)
    let low = 0
    let high = count
    let step = FIRST_STEP
    if (this.#keyOf(words, guess) < key) {
      low = guess + 1
      for (let next = guess + step; next < count; next = guess + step) {
        if (this.#keyOf(words, next) >= key) {
          high = next
          break
        }
        low = next + 1
        step *= 2
      }
    } else {
      high = guess
      for (let next = guess - step; next >= 0; next = guess - step) {
        if (this.#keyOf(words, next) < key) {
          low = next + 1
          break
        }
        high = next
        step *= 2
      }
    }
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#keyOf(words, middle) < key) low = middle + 1
      else high = middle
    }
    return low
  }

  /** Keys of 64 bits can be one float and yet differ: goes on from `row` to the first that is not less by both words. */
  #refine({ words, count }: RowRun, row: number, keyHigh: number, keyLow: number): number {
    let low = row
    let high = row
    for (let step = 1; high < count && this.#isLess(words, high, keyHigh, keyLow); step *= 2) {
      low = high + 1
      high = low + step
    }
    high = Math.min(high, count)
    while (low < high) {
      const middle = (low + high) >>> 1
      if (this.#isLess(words, middle, keyHigh, keyLow)) low = middle + 1
      else high = middle
    }
    return low
  }

  #isLess(words: Uint32Array, row: number, keyHigh: number, keyLow: number): boolean {
    const at = row * this.#stride
    const high = words[at] as number
    return high < keyHigh || (high === keyHigh && (words[at + 1] as number) < keyLow)
  }

  // What `load` found last: the words of one row.
  high = 0
  low = 0
  position = 0
  segment = 0

  /** Reads a row into `high`, `low`, `position` and `segment`; false beyond the last. */
  load(row: number): boolean {
    const runs = this.#runs
    let run = runs[0]
    for (let index = 1; run && row >= run.first + run.count; index++) run = runs[index]
    if (run === undefined) return false
    let at = (row - run.first) * this.#stride
    this.high = run.words[at++] as number
    this.low = this.#double ? (run.words[at++] as number) : 0
    this.position = run.words[at++] as number
    this.segment = this.#wide ? (run.words[at] as number) : 0
    return true
  }
}

function clamp(guess: number, count: number): number {
  if (!(guess > 0)) return 0
  return guess >= count ? count - 1 : Math.floor(guess)
}
