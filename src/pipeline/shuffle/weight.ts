// About how much memory records take: exact for text, else from a sample. Depends on the records alone, so that what is
// spilled when is the same wherever a task runs.
import { encodeRecords } from '../../codec/frames.ts'

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
