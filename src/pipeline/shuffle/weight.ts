// About how much memory records take: exact for text, else from a sample. Depends on the records alone, so that what is
// spilled when is the same wherever a task runs.
import { encodeRecords } from '../../codec/frames.ts'

// Parts of a value that `sizeOf` looks at; what is beyond them is taken to be like them.
const mostParts = 128

/** About how many bytes a value takes on the heap, in bounded time. */
export function sizeOf(value: unknown, parts = mostParts): number {
  switch (typeof value) {
    case 'string':
      return 2 * value.length + 32
    case 'object':
      break
    default:
      return 16
  }
  if (value === null) return 16
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength + 64
  if (Array.isArray(value)) return sizeOfParts(value, value.length, parts)
  if (value instanceof Set || value instanceof Map)
    return sizeOfParts(value.values(), value.size, parts) + 40 * value.size
  const held = Object.values(value)
  return sizeOfParts(held, held.length, parts)
}

function sizeOfParts(items: Iterable<unknown>, count: number, parts: number): number {
  const seen = Math.min(count, parts)
  if (seen <= 0) return 48
  let bytes = 0
  let looked = 0
  for (const item of items) {
    if (looked++ === seen) break
    bytes += sizeOf(item, Math.floor(parts / seen) - 1)
  }
  return 48 + (bytes * count) / seen
}

const sampleEvery = 64
// Objects take about this much more on the heap than encoded.
const heapFactor = 4

export class Weight {
  #average = 64
  #seen = 0
  #sampled = 0

  /** Bytes that a record (or key) takes. */
  of(record: unknown): number {
    if (typeof record === 'string') return 2 * record.length + 32
    if (typeof record === 'number') return 16
    if (this.#seen++ % sampleEvery === 0) this.#sample(record)
    return this.#average
  }

  #sample(record: unknown): void {
    let bytes = 64
    try {
      bytes = encodeRecords([record]).length * heapFactor
    } catch {
      // Refused when it is written.
    }
    this.#sampled++
    this.#average += (bytes - this.#average) / this.#sampled
  }
}
