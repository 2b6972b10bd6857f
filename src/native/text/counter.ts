// Counts tokens in a hash table in WebAssembly memory: text -> number, without a JavaScript string a token.
import type { CountColumns, TextColumn } from './column.ts'
import {
  COUNTER_KEY_BYTES,
  COUNTER_MEMORY,
  COUNTER_SIZE,
  COUNTER_TOKENS,
  SPAN_BYTES,
  SPAN_DEFERRED,
  TOKENS_WHOLE,
} from './layout.ts'
import { loadLowerTable } from './lower.ts'
import type { Block, TextMemory } from './module.ts'
import { deferredTexts, type Staging, stagedValues } from './staging.ts'
import { planTokens, type TokenOptions, type TokenPlan } from './tokens.ts'

export interface CounterOptions extends TokenOptions {
  /** False: only the number of tokens is wanted, and no key is kept. Default: true. */
  readonly keys?: boolean
}

export interface DrainOptions {
  /** Into how many parts keys are divided, by `partitionOf(hashBytes(key), partitions)`. Default: 1. */
  readonly partitions?: number
  /** Sort the keys of each part as JavaScript sorts strings. Default: false, the order has no meaning. */
  readonly sorted?: boolean
}

export interface Drained {
  /** One for each partition; each key is in one of them, once. */
  readonly partitions: readonly CountColumns[]
  /** Keys that UTF-8 cannot carry (lone surrogates), with their counts. They came from `addStrings`. */
  readonly apart: readonly (readonly [key: string, value: number])[]
}

// Strings are joined to groups of about this many characters, so that one call writes many of them.
const groupCharacters = 1 << 16
const groupStrings = 1 << 12

const encoder = new TextEncoder()

export class Counter {
  readonly #memory: TextMemory
  readonly #staging: Staging
  readonly #plan: TokenPlan
  readonly #separator: Block
  readonly #address: number
  readonly #keys: boolean
  readonly #apart = new Map<string, number>()
  #apartTokens = 0

  /** Made by `TextKernel.counter`. */
  constructor(memory: TextMemory, staging: Staging, options: CounterOptions) {
    this.#memory = memory
    this.#staging = staging
    this.#plan = planTokens(options)
    this.#keys = options.keys ?? true
    if (this.#plan.lower) loadLowerTable(memory)
    this.#separator = memory.alloc(this.#plan.separator.length)
    memory.bytes.set(this.#plan.separator, this.#separator.address)
    this.#address = memory.exports.counterNew(this.#keys ? 1 : 0) >>> 0
    if (this.#address === 0) throw memory.exhausted()
  }

  /** The number of different keys. */
  get size(): number {
    return this.#memory.word(this.#address + COUNTER_SIZE) + this.#apart.size
  }

  /** The number of tokens that were added since the last `drain`; with `merge`, the sum of all counts. */
  get tokens(): number {
    return this.#memory.float(this.#address + COUNTER_TOKENS) + this.#apartTokens
  }

  /** The WebAssembly memory that the table holds. `drain` keeps the table, so that this never falls much. */
  get bytes(): number {
    return this.#memory.word(this.#address + COUNTER_MEMORY)
  }

  /** About the size of what `drain` would return, in bytes: to decide when to spill. */
  get drainBytes(): number {
    return this.#memory.word(this.#address + COUNTER_KEY_BYTES) + this.size * 12
  }

  /** Adds the tokens of texts. Bytes that are not UTF-8 become U+FFFD, as TextDecoder does. */
  addColumn(column: TextColumn): void {
    this.#staging.column(column, (_, count) => this.addSpans(this.#staging.spans.address, count))
  }

  /** Adds the tokens of strings. */
  addStrings(strings: readonly string[]): void {
    for (let first = 0; first < strings.length;) {
      let characters = 0
      let last = first
      while (last < strings.length && last - first < groupStrings && characters < groupCharacters) {
        characters += (strings[last] as string).length
        last++
      }
      this.#addGroup(first === 0 && last === strings.length ? strings : strings.slice(first, last))
      first = last
    }
  }

  /** Adds keys with their counts: what another counter drained. The keys are not split and have to be valid UTF-8. */
  merge(keys: TextColumn, values: Float64Array): void {
    const memory = this.#memory
    const weights = memory.alloc(Math.min(keys.length, stagedValues) * 8)
    try {
      this.#staging.column(keys, (first, count) => {
        new Float64Array(memory.exports.memory.buffer, weights.address, count).set(
          values.subarray(first, first + count),
        )
        const spans = this.#staging.spans.address
        if (memory.exports.addWeighted(this.#address, spans, weights.address, count) === 0) throw memory.exhausted()
      })
    } finally {
      memory.release(weights)
    }
  }

  /** Adds to the count of one key, which UTF-8 need not be able to carry: what another counter drained as `apart`. */
  mergeApart(key: string, value: number): void {
    if (key.isWellFormed()) {
      const bytes = encoder.encode(key)
      this.merge({ bytes, offsets: Uint32Array.of(0, bytes.length), length: 1 }, Float64Array.of(value))
      return
    }
    this.#addApart(key, value)
  }

  /** Returns all keys with their counts, and forgets them. */
  drain(options: DrainOptions = {}): Drained {
    const partitions: CountColumns[] = []
    const apart = this.drainTo((columns) => void partitions.push(copyOf(columns)), options)
    return { partitions, apart }
  }

  /**
   * Gives all keys with their counts, one partition after the other, and forgets them. The columns lie in memory that is
   * used for other things afterwards: they are good for the time of the call, which must not use the kernel. Returns the
   * keys that UTF-8 cannot carry.
   */
  drainTo(take: (columns: CountColumns, partition: number) => void, options: DrainOptions = {}): Drained['apart'] {
    const { partitions = 1, sorted = false } = options
    const { exports } = this.#memory
    const size = this.#memory.word(this.#address + COUNTER_SIZE)
    return this.#scratch((alloc) => {
      const entries = alloc(size * 4)
      const scratch = alloc(size * 4)
      const counts = alloc(partitions * 4)
      const bytes = alloc(partitions * 4)
      this.#memory.bytes.fill(0, counts, counts + partitions * 4).fill(0, bytes, bytes + partitions * 4)
      exports.entriesByPartition(this.#address, partitions, counts, bytes, entries, scratch)
      const lengths = this.#memory.words.slice(counts >>> 2, (counts >>> 2) + partitions)
      const sizes = this.#memory.words.slice(bytes >>> 2, (bytes >>> 2) + partitions)
      const write = this.#writer(alloc, Math.max(...lengths), Math.max(...sizes))
      let first = entries
      for (const [partition, length] of lengths.entries()) {
        if (sorted) exports.sortByKey(first, length, scratch)
        take(write(first, length), partition)
        first += length * 4
      }
      const apart = [...this.#apart]
      this.clear()
      return apart
    })
  }

  /** The `k` (at least 1) keys with the highest counts, highest first, equal ones in the order of their keys. Keys that are `apart` are left out. */
  top(k: number): CountColumns {
    const { exports } = this.#memory
    const size = this.#memory.word(this.#address + COUNTER_SIZE)
    const limit = Math.min(k, Math.max(size, 1))
    return this.#scratch((alloc) => {
      const entries = alloc(limit * 8)
      const scratch = alloc(limit * 8)
      const length = exports.topEntries(this.#address, limit, entries, scratch)
      const keyBytes = this.#memory.word(this.#address + COUNTER_KEY_BYTES)
      return copyOf(this.#writer(alloc, length, keyBytes)(entries, length))
    })
  }

  /** Forgets all keys. */
  clear(): void {
    this.#memory.exports.counterClear(this.#address)
    this.#apart.clear()
    this.#apartTokens = 0
  }

  /** Gives the memory back. The counter is not to be used again. */
  close(): void {
    this.#memory.exports.counterFree(this.#address)
    this.#memory.release(this.#separator)
  }

  /** Adds the tokens of values that are in WebAssembly memory, and may change their bytes. For readers. */
  addSpans(spans: number, count: number): void {
    const { words } = this.#memory
    let deferred = count
    if (this.#plan.scripted) {
      for (let i = 0; i < count; i++) {
        const word = (spans + i * SPAN_BYTES + 4) >>> 2
        words[word] = (words[word] as number) + SPAN_DEFERRED
      }
    } else {
      deferred = this.#prepare(spans, count)
      this.#count(spans, count)
    }
    if (deferred === 0) return
    for (const [, text] of deferredTexts(this.#memory, spans, count)) this.#addInScript(text)
  }

  #addGroup(texts: readonly string[]): void {
    const { joint, scripted } = this.#plan
    if (scripted) {
      for (const text of texts) this.#addInScript(text)
      return
    }
    const joined = texts.length === 1 ? (texts[0] as string) : texts.join(joint ?? '')
    const isAscii = this.#staging.text(joined) === joined.length
    const spans = this.#staging.spans.address
    if (isAscii && (joint !== undefined || texts.length === 1)) {
      this.addSpans(spans, 1)
    } else if (isAscii) {
      this.#staging.cut(texts)
      this.addSpans(spans, texts.length)
    } else if (joint !== undefined && joined.isWellFormed() && this.#prepare(spans, 1) === 0) {
      this.#count(spans, 1)
    } else {
      for (const text of texts) this.#addText(text)
    }
  }

  #addText(text: string): void {
    this.#staging.text(text)
    if (text.isWellFormed() && this.#prepare(this.#staging.spans.address, 1) === 0) {
      this.#count(this.#staging.spans.address, 1)
    } else {
      this.#addInScript(text)
    }
  }

  #addInScript(text: string): void {
    const { inScript, respell } = this.#plan
    if (respell !== undefined && text.isWellFormed()) {
      this.#staging.text(respell(text))
      this.#count(this.#staging.spans.address, 1)
      return
    }
    for (const token of inScript(text)) {
      if (!token.isWellFormed()) {
        this.#addApart(token, 1)
        continue
      }
      this.#staging.text(token)
      this.#count(this.#staging.spans.address, 1, TOKENS_WHOLE)
    }
  }

  #addApart(key: string, value: number): void {
    if (this.#keys) this.#apart.set(key, (this.#apart.get(key) ?? 0) + value)
    this.#apartTokens += value
  }

  /** Makes values ready to be cut; returns how many of them are left to JavaScript. */
  #prepare(spans: number, count: number): number {
    return this.#memory.exports.prepare(spans, count, this.#plan.lower ? 1 : 0)
  }

  #count(spans: number, count: number, mode = this.#plan.mode): void {
    const { exports } = this.#memory
    exports.setSeparator(this.#separator.address, this.#plan.separator.length)
    if (exports.countTokens(this.#address, spans, count, mode) === 0) throw this.#memory.exhausted()
  }

  /** Runs with memory that is given back afterwards. */
  #scratch<T>(run: (alloc: (bytes: number) => number) => T): T {
    const blocks: Block[] = []
    try {
      return run((bytes) => {
        const block = this.#memory.alloc(bytes)
        blocks.push(block)
        return block.address
      })
    } finally {
      for (const block of blocks) this.#memory.release(block)
    }
  }

  /** Writes listed entries as columns, to one buffer for all calls. */
  #writer(alloc: (bytes: number) => number, most: number, mostBytes: number) {
    const bytes = alloc(mostBytes)
    const offsets = alloc((most + 1) * 4)
    const values = alloc(most * 8)
    const memory = this.#memory
    return (entries: number, length: number): CountColumns => {
      const size = memory.exports.writeEntries(entries, length, bytes, offsets, values)
      return {
        keys: {
          bytes: memory.bytes.subarray(bytes, bytes + size),
          offsets: memory.words.subarray(offsets >>> 2, (offsets >>> 2) + length + 1),
          length,
        },
        values: new Float64Array(memory.exports.memory.buffer, values, length),
      }
    }
  }
}

function copyOf({ keys: { bytes, offsets, length }, values }: CountColumns): CountColumns {
  return { keys: { bytes: bytes.slice(), offsets: offsets.slice(), length }, values: values.slice() }
}
