// The WebAssembly module: one compilation a process, and typed access to an instance and its memory.
import { readFileSync } from 'node:fs'
import { GearmillError } from '../../errors.ts'
import { PADDING } from './layout.ts'

/** The part of the global that is used here (its types come with those of browsers only). */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

/** What assembly/index.ts exports. Addresses and lengths are u32, booleans are 0 or 1. */
export interface TextExports {
  readonly memory: { readonly buffer: ArrayBuffer }
  setLimit(bytes: number): void
  alloc(bytes: number): number
  release(address: number, bytes: number): void
  scanCsv(scanner: number, spans: number, problems: number): number
  scanLines(scanner: number, spans: number): number
  prepare(spans: number, count: number, lower: number): number
  setLowerTable(address: number): void
  setSeparator(address: number, length: number): void
  countTokens(counter: number, spans: number, count: number, mode: number): number
  columnTokens(bytes: number, offsets: number, spans: number, count: number, mode: number): number
  addWeighted(counter: number, spans: number, weights: number, count: number): number
  spansOf(offsets: number, count: number, base: number, spans: number): void
  counterNew(keys: number): number
  counterFree(counter: number): void
  counterClear(counter: number): void
  entriesByPartition(
    counter: number,
    partitions: number,
    counts: number,
    bytes: number,
    entries: number,
    scratch: number,
  ): void
  sortByKey(entries: number, count: number, scratch: number): void
  topEntries(counter: number, k: number, entries: number, scratch: number): number
  writeEntries(entries: number, count: number, bytes: number, offsets: number, values: number): number
}

let compiled: object | undefined

function instantiate(): TextExports {
  compiled ??= new WebAssembly.Module(readFileSync(new URL('./text.wasm', import.meta.url)))
  return new WebAssembly.Instance(compiled).exports as TextExports
}

/** A block of WebAssembly memory, with room for PADDING bytes behind what it was asked for. */
export interface Block {
  readonly address: number
  readonly bytes: number
}

/** An instance and its memory. A call may grow the memory, which detaches all views: take them from here each time. */
export class TextMemory {
  readonly exports: TextExports
  readonly #megabytes: number
  #bytes: Uint8Array
  #words: Uint32Array

  constructor(megabytes: number) {
    this.#megabytes = megabytes
    this.exports = instantiate()
    this.exports.setLimit(megabytes * 1024 * 1024)
    this.#bytes = new Uint8Array(this.exports.memory.buffer)
    this.#words = new Uint32Array(this.exports.memory.buffer)
  }

  /** All of the memory. */
  get bytes(): Uint8Array {
    if (this.#bytes.buffer !== this.exports.memory.buffer) this.#bytes = new Uint8Array(this.exports.memory.buffer)
    return this.#bytes
  }

  /** All of the memory, as u32. */
  get words(): Uint32Array {
    if (this.#words.buffer !== this.exports.memory.buffer) this.#words = new Uint32Array(this.exports.memory.buffer)
    return this.#words
  }

  word(address: number): number {
    return this.words[address >>> 2] as number
  }

  setWord(address: number, value: number): void {
    this.words[address >>> 2] = value
  }

  float(address: number): number {
    return new Float64Array(this.exports.memory.buffer, address, 1)[0] as number
  }

  alloc(bytes: number): Block {
    const address = this.exports.alloc(bytes + PADDING) >>> 0
    if (address === 0) throw this.exhausted()
    return { address, bytes }
  }

  release(block: Block): void {
    this.exports.release(block.address, block.bytes + PADDING)
  }

  /** The block if it is large enough, else a larger one; what it held is not kept. */
  atLeast(block: Block, bytes: number): Block {
    if (block.bytes >= bytes) return block
    this.release(block)
    return this.alloc(bytes)
  }

  exhausted(): GearmillError {
    return new GearmillError('EXECUTION_MEMORY', `the text kernels need more than their ${this.#megabytes} MB`, {
      hint: 'Drain counters earlier, give rows and values a lower limit, or raise `maxMemoryMb`.',
    })
  }
}
