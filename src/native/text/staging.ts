// Brings values from outside into WebAssembly memory, block by block, as spans.
import type { TextColumn } from './column.ts'
import { SPAN_BYTES, SPAN_DEFERRED, SPAN_MAX } from './layout.ts'
import type { Block, TextMemory } from './module.ts'

// A block stays in the second-level cache together with the hot part of a hash table.
const blockBytes = 1 << 18
const blockValues = 1 << 14

const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
const encoder = new TextEncoder()

export class Staging {
  readonly #memory: TextMemory
  #bytes: Block
  readonly #offsets: Block
  readonly spans: Block

  constructor(memory: TextMemory) {
    this.#memory = memory
    this.#bytes = memory.alloc(blockBytes)
    this.#offsets = memory.alloc((blockValues + 1) * 4)
    this.spans = memory.alloc(blockValues * SPAN_BYTES)
  }

  /** Calls `take` with the number of values in `spans`, as often as it takes to have all values there once. */
  column(column: TextColumn, take: (first: number, count: number) => void): void {
    const memory = this.#memory
    const { bytes, offsets, length } = column
    for (let first = 0; first < length;) {
      const start = offsets[first] as number
      let last = Math.min(length, first + blockValues)
      if ((offsets[last] as number) - start > blockBytes) last = lastWithin(offsets, first, last, start + blockBytes)
      const end = offsets[last] as number
      this.#bytes = memory.atLeast(this.#bytes, end - start)
      memory.bytes.set(bytes.subarray(start, end), this.#bytes.address)
      memory.words.set(offsets.subarray(first, last + 1), this.#offsets.address >>> 2)
      memory.exports.spansOf(this.#offsets.address, last - first, this.#bytes.address - start, this.spans.address)
      take(first, last - first)
      first = last
    }
  }

  /** Writes a well-formed string as the only span. Returns its number of bytes. */
  text(text: string): number {
    const memory = this.#memory
    this.#bytes = memory.atLeast(this.#bytes, text.length * 3)
    const address = this.#bytes.address
    const { written } = encoder.encodeInto(text, memory.bytes.subarray(address, address + this.#bytes.bytes))
    memory.setWord(this.spans.address, address)
    memory.setWord(this.spans.address + 4, written)
    return written
  }

  /** Replaces the only span by those of the texts that it is made of, one ASCII byte a character. */
  cut(texts: readonly string[]): void {
    const words = this.#memory.words
    let at = this.#bytes.address
    let word = this.spans.address >>> 2
    for (const text of texts) {
      words[word++] = at
      words[word++] = text.length
      at += text.length
    }
  }

  close(): void {
    this.#memory.release(this.#bytes)
    this.#memory.release(this.#offsets)
    this.#memory.release(this.spans)
  }
}

/** The most values that `Staging` puts into one block. */
export const stagedValues = blockValues

/** The texts of spans that WebAssembly deferred, decoded, with their indices. */
export function deferredTexts(memory: TextMemory, spans: number, count: number): [index: number, text: string][] {
  const texts: [number, string][] = []
  const { bytes, words } = memory
  for (let i = 0; i < count; i++) {
    const word = (spans + i * SPAN_BYTES) >>> 2
    const marked = words[word + 1] as number
    if (marked < SPAN_DEFERRED) continue
    const start = words[word] as number
    texts.push([i, decoder.decode(bytes.subarray(start, start + (marked & SPAN_MAX)))])
  }
  return texts
}

function lastWithin(offsets: Uint32Array, first: number, last: number, end: number): number {
  let low = first + 1
  let high = last
  while (low < high) {
    const middle = (low + high + 1) >>> 1
    if ((offsets[middle] as number) <= end) low = middle
    else high = middle - 1
  }
  return low
}
