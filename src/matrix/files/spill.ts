// Elements that come in any order, given back as bands. A small matrix is put together in memory. Of a large one the
// elements are sorted into buckets, each some bands high, whose parts lie in one scratch file.
import { closeSync, openSync, readSync, rmSync, writeSync } from 'node:fs'
import { type Band, type FloatType, floats } from './band.ts'

/** A matrix of at most so many elements is kept in memory. */
const mostInMemory = 8 * 1024 * 1024
const mostBuckets = 1024
/** Elements of a part; each is a row, a column and a value of 8 bytes. */
const partLength = 512

interface Bucket {
  readonly part: Float64Array
  filled: number
  /** Where its parts begin in the file. */
  readonly parts: number[]
}

export interface SpillOptions {
  readonly rows: number
  readonly cols: number
  readonly dtype: FloatType
  /** Rows of a band. */
  readonly height: number
  /** A path for the scratch file, where there is nothing. */
  readonly scratch: string
  /** Elements that are kept in memory. */
  readonly inMemory?: number
}

/** A negative zero that comes alone stays one. */
const sum = (before: number | undefined, value: number): number =>
  before === undefined || before === 0 ? value : before + value

export class Spill {
  readonly #options: SpillOptions
  readonly #whole: ReturnType<typeof floats> | undefined
  readonly #buckets: Bucket[] = []
  /** Bands of a bucket. */
  readonly #bands: number
  #file: number | undefined
  #end = 0

  constructor(options: SpillOptions) {
    const { rows, cols, dtype, height, inMemory = mostInMemory } = options
    this.#options = options
    this.#whole = rows * cols <= inMemory ? floats(dtype, rows * cols) : undefined
    this.#bands = Math.max(1, Math.ceil(Math.ceil(rows / height) / mostBuckets))
  }

  /** Elements of one place are added up. */
  add(row: number, col: number, value: number): void {
    if (this.#whole !== undefined) {
      const at = row * this.#options.cols + col
      this.#whole[at] = sum(this.#whole[at], value)
      return
    }
    const index = Math.floor(row / this.#options.height / this.#bands)
    const bucket = (this.#buckets[index] ??= { part: new Float64Array(partLength * 3), filled: 0, parts: [] })
    bucket.part.set([row, col, value], bucket.filled * 3)
    if (++bucket.filled < partLength) return
    this.#file ??= openSync(this.#options.scratch, 'wx+', 0o600)
    let written = 0
    while (written < bucket.part.byteLength) {
      const rest = bucket.part.byteLength - written
      written += writeSync(this.#file, bucket.part, written, rest, this.#end + written)
    }
    bucket.parts.push(this.#end)
    this.#end += written
    bucket.filled = 0
  }

  /** After the last element. */
  *bands(): Generator<Band> {
    const { rows, cols, dtype, height } = this.#options
    for (let row = 0; row < rows; row += height) {
      const count = Math.min(height, rows - row)
      if (this.#whole !== undefined) {
        yield { row, rows: count, cols, data: this.#whole.slice(row * cols, (row + count) * cols) }
        continue
      }
      const data = floats(dtype, count * cols)
      for (const [part, length] of this.#parts(Math.floor(row / height / this.#bands))) {
        for (let k = 0; k < length * 3; k += 3) {
          const at = (part[k] ?? 0) - row
          if (at < 0 || at >= count) continue
          const place = at * cols + (part[k + 1] ?? 0)
          data[place] = sum(data[place], part[k + 2] ?? 0)
        }
      }
      yield { row, rows: count, cols, data }
    }
  }

  *#parts(index: number): Generator<readonly [part: Float64Array, length: number]> {
    const bucket = this.#buckets[index]
    if (bucket === undefined) return
    const part = new Float64Array(partLength * 3)
    for (const start of bucket.parts) {
      let done = 0
      while (this.#file !== undefined && done < part.byteLength) {
        const bytes = readSync(this.#file, part, done, part.byteLength - done, start + done)
        if (bytes === 0) break
        done += bytes
      }
      yield [part, partLength]
    }
    yield [bucket.part, bucket.filled]
  }

  close(): void {
    if (this.#file === undefined) return
    closeSync(this.#file)
    rmSync(this.#options.scratch, { force: true })
    this.#file = undefined
  }
}
