// Text operations over bytes in WebAssembly SIMD: rows and columns out of files, words out of columns, counts out of words.
//
// One kernel has one WebAssembly memory, which grows and never shrinks; an executor makes one. Values go in and out as
// UTF-8 columns that belong to the caller; what a kernel returns is a copy, valid for ever.
import { PlanError } from '../../errors.ts'
import { ColumnBuilder, type TextColumn } from './column.ts'
import { Counter, type CounterOptions } from './counter.ts'
import { SPAN_BYTES, TOKENS_WHOLE } from './layout.ts'
import { loadLowerTable } from './lower.ts'
import { type Block, TextMemory } from './module.ts'
import { type CsvOptions, RowReader } from './reader.ts'
import { deferredTexts, Staging } from './staging.ts'
import { planTokens, type TokenPlan } from './tokens.ts'

export interface TextKernelOptions {
  /** The most that the WebAssembly memory may grow to, from 8 to 4095 MiB. Default: 1024. */
  readonly maxMemoryMb?: number
}

export class TextKernel {
  readonly #memory: TextMemory
  readonly #staging: Staging
  #separator: Block
  #output: Block
  #offsets: Block

  private constructor(memory: TextMemory) {
    this.#memory = memory
    this.#staging = new Staging(memory)
    this.#separator = memory.alloc(64)
    this.#output = memory.alloc(0)
    this.#offsets = memory.alloc(0)
  }

  /** Throws GearmillError EXECUTION_MEMORY, here and from all operations, where `maxMemoryMb` is not enough. */
  static create(options: TextKernelOptions = {}): TextKernel {
    const { maxMemoryMb = 1024 } = options
    if (!Number.isInteger(maxMemoryMb) || maxMemoryMb < 8 || maxMemoryMb > 4095) {
      throw new PlanError('PLAN_OPTION', `maxMemoryMb: expected an integer from 8 to 4095, got ${maxMemoryMb}`)
    }
    return new TextKernel(new TextMemory(maxMemoryMb))
  }

  /** The size of the WebAssembly memory in bytes. */
  get memoryBytes(): number {
    return this.#memory.bytes.length
  }

  /** A reader of CSV. Throws PlanError PLAN_OPTION. */
  csvReader(options: CsvOptions): RowReader {
    return new RowReader(this.#memory, options)
  }

  /** A reader of lines that end with LF or CR LF; a CR elsewhere is part of its line. */
  lineReader(): RowReader {
    return new RowReader(this.#memory, undefined)
  }

  /** A counter of tokens. Throws PlanError PLAN_OPTION for a separator that columns cannot be split by. */
  counter(options: CounterOptions): Counter {
    return new Counter(this.#memory, this.#staging, options)
  }

  /** The tokens of all texts, one after the other: `flatMap((text) => text.split(separator))`. */
  split(column: TextColumn, separator: string): TextColumn {
    return this.#transform(column, planTokens({ tokens: { split: separator } }))
  }

  /** The runs of characters that are not blank (\s): `flatMap((text) => text.match(/\S+/g) ?? [])`. */
  words(column: TextColumn): TextColumn {
    return this.#transform(column, planTokens({ tokens: 'words' }))
  }

  /** `map((text) => text.toLowerCase())`. */
  lower(column: TextColumn): TextColumn {
    return this.#transform(column, planTokens({ tokens: 'none', lower: 'before' }))
  }

  /** The texts with U+FFFD for each sequence of bytes that is not UTF-8, as TextDecoder does. */
  repair(column: TextColumn): TextColumn {
    return this.#transform(column, planTokens({ tokens: 'none' }))
  }

  #transform(column: TextColumn, plan: TokenPlan): TextColumn {
    const { exports } = this.#memory
    if (plan.lower) loadLowerTable(this.#memory)
    this.#separator = this.#memory.atLeast(this.#separator, plan.separator.length)
    this.#memory.bytes.set(plan.separator, this.#separator.address)
    exports.setSeparator(this.#separator.address, plan.separator.length)
    const { length, offsets } = column
    const total = (offsets[length] as number) - (offsets[0] as number)
    const builder = new ColumnBuilder(total, length)
    const spans = this.#staging.spans.address
    this.#staging.column(column, (first, count) => {
      const size = (column.offsets[first + count] as number) - (column.offsets[first] as number)
      const deferred = exports.prepare(spans, count, plan.lower ? 1 : 0)
      if (deferred === 0) {
        this.#write(builder, spans, count, size, plan.mode)
        return
      }
      let next = 0
      for (const [index, text] of deferredTexts(this.#memory, spans, count)) {
        this.#write(builder, spans + next * SPAN_BYTES, index - next, size, plan.mode)
        for (const token of plan.inScript(text)) builder.addText(token)
        next = index + 1
      }
      this.#write(builder, spans + next * SPAN_BYTES, count - next, size, plan.mode)
    })
    return builder.finish()
  }

  /** Appends the tokens of values whose bytes are at most `size` together. */
  #write(builder: ColumnBuilder, spans: number, count: number, size: number, mode: number): void {
    if (count === 0) return
    const memory = this.#memory
    const most = mode === TOKENS_WHOLE ? count : size + count
    this.#output = memory.atLeast(this.#output, size)
    this.#offsets = memory.atLeast(this.#offsets, (most + 1) * 4)
    const output = this.#output.address
    const at = this.#offsets.address >>> 2
    const tokens = memory.exports.columnTokens(output, this.#offsets.address, spans, count, mode)
    const ends = memory.words.subarray(at, at + tokens + 1)
    builder.append(memory.bytes.subarray(output, output + (ends[tokens] as number)), ends, tokens)
  }
}
