// The plan as it travels to executors: which definitions each stage runs, with plain options, and with functions by their
// index in what was captured.
import { Packr } from 'msgpackr/pack'
import type { TokenOptions } from '../native/text/tokens.ts'

/** One call of a definition. */
export interface StepProgram {
  readonly name: string
  readonly options: unknown
  /** Indexes into Program.functions. */
  readonly functions: readonly number[]
  /** Index of the values of with(), if the functions get any. */
  readonly values?: number
  /** An earlier stage that it looks at as a whole: the smaller side of a join. */
  readonly beside?: number
  /** Index of the definition itself, where it is not built in. */
  readonly definition?: number
  /** For errors: the call as it reads, and where it was made. */
  readonly text: string
  readonly place: string
  readonly stack: string
}

export type StageSource =
  | { readonly kind: 'reader'; readonly call: StepProgram; readonly data: unknown }
  /** The merge of a global operation over the blocks of stages (a join has two), or the last part of a publishing sink. */
  | { readonly kind: 'merge' | 'publish'; readonly call: StepProgram; readonly stages: readonly number[] }
  /** Sorting by ranges (shuffle/ranges.ts): `cuts` reads the samples of a stage, `ranges` its records, and the cuts of the next. */
  | { readonly kind: 'cuts' | 'ranges'; readonly call: StepProgram; readonly stages: readonly number[] }

export type StageTarget =
  /** `side` tells the two inputs of a join apart; with `whole`, all tasks of a later stage read all of it. */
  | { readonly kind: 'shuffle'; readonly call: StepProgram; readonly side: number; readonly whole?: true }
  /** Sorting by ranges: records with a sample of them, and where the ranges begin. */
  | { readonly kind: 'samples' | 'cuts'; readonly call: StepProgram; readonly ranges: number }
  | { readonly kind: 'publish' | 'effects'; readonly call: StepProgram }
  | { readonly kind: 'result' }

export interface StageProgram {
  readonly source: StageSource
  readonly local: readonly StepProgram[]
  readonly target: StageTarget
  /** The last `steps` local operations and the target run on columns of text. */
  readonly text?: { readonly steps: number; readonly tokens: TokenOptions }
  readonly tasks: number
  readonly partitions: number
}

export interface PipelineProgram {
  /** A failed record fails the whole run, so that a sink that publishes at once publishes nothing. */
  readonly strict: boolean
  readonly stages: readonly StageProgram[]
}

const packr = new Packr({ useRecords: false, moreTypes: true })

export function encodeProgram(program: PipelineProgram): Uint8Array {
  return packr.pack(program)
}

export function decodeProgram(bytes: Uint8Array): PipelineProgram {
  return packr.unpack(bytes) as PipelineProgram
}
