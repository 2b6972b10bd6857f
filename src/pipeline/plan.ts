// From the calls of a pipeline to stages: [reader | merge] -> fused local operations -> [shuffle | effects | result].
// A global operation ends a stage and begins the next one; a publishing sink adds a stage of one task.
import type { StageSpec } from '../engine/runner.ts'
import { builtins } from './builtins.ts'
import { type OperationCall, type ReaderCall, type SinkCall, type Splits, executorPart } from './define.ts'
import { labelOf } from './site.ts'
import { type TextStep, tokensOf } from './text.ts'
import type { StageProgram, StageSource, StageTarget, StepProgram } from './program.ts'

/** A call, and the values that with() put in front of it. */
export interface Placed<C> {
  readonly call: C
  readonly values: object | undefined
}

/** What a builder has collected. */
export interface Description {
  readonly reader: ReaderCall
  readonly operations: readonly Placed<OperationCall>[]
  readonly sink: Placed<SinkCall> | undefined
}

export interface StagedPlan {
  readonly stages: readonly StageProgram[]
  /** What has to be shipped, in the order of the indexes in the stages. */
  readonly functions: readonly unknown[]
  /** For each of them the call that it was given to, for messages. */
  readonly labels: readonly string[]
  /** Where the number of a sink's `written` comes from. */
  readonly written: 'effects' | 'result' | undefined
}

/** One partition for every four splits: a reduce task then reads about as much as a map task. */
function partitionsOf(splits: number): number {
  return Math.max(1, Math.min(64, Math.ceil(splits / 4)))
}

/** A stage whose end is not known yet. */
interface OpenStage {
  readonly source: StageSource
  readonly tasks: number
  /** Of the readers that its records come from. */
  readonly splits: number
  readonly local: StepProgram[]
  /** Those of `local`. */
  readonly operations: Placed<OperationCall>[]
}

const noSplits: Splits = { count: 1, data: null }

/** The readers of a pipeline: its own, then those of the pipelines that it joins, in the order of its operations. */
export function readersOf({ reader, operations }: Description): ReaderCall[] {
  return [reader, ...operations.flatMap(({ call }) => (call.other === undefined ? [] : readersOf(call.other)))]
}

/** @param splits of each reader, as `readersOf` names them; without, the functions and labels are right, and nothing else */
export function stagesOf(description: Description, splits: readonly Splits[] = []): StagedPlan {
  const functions: unknown[] = []
  const labels: string[] = []
  const indexes = new Map<unknown, number>()
  const indexOf = (value: unknown, label: string): number => {
    const known = indexes.get(value)
    if (known !== undefined) return known
    indexes.set(value, functions.length)
    labels.push(label)
    return functions.push(value) - 1
  }
  const stepOf = ({ call, values }: Placed<ReaderCall | OperationCall | SinkCall>): StepProgram => {
    const { definition, name, options, site } = call
    const text = definition.describe(options)
    const label = labelOf(name, site)
    return {
      name,
      options,
      functions: call.functions.map((value) => indexOf(value, label)),
      ...(values === undefined ? {} : { values: indexOf(values, labelOf('with', site)) }),
      ...(builtins.get(name) === definition ? {} : { definition: indexOf(executorPart(definition), label) }),
      text,
      place: site.place,
      stack: site.stack,
    }
  }

  const stages: StageProgram[] = []
  const readers = splits.values()

  /** Adds the stages of a pipeline up to its last operation; what is still open there is closed by the caller. */
  const open = ({ reader, operations }: Description): OpenStage => {
    const read = readers.next().value ?? noSplits
    let stage: OpenStage = {
      source: { kind: 'reader', call: stepOf({ call: reader, values: undefined }), data: read.data },
      tasks: read.count,
      splits: read.count,
      local: [],
      operations: [],
    }
    for (const placed of operations) {
      const { definition, options, other } = placed.call
      const step = stepOf(placed)
      if (definition.kind === 'local') {
        stage.local.push(step)
        stage.operations.push(placed)
        continue
      }
      const sides = other === undefined ? [stage] : [stage, open(other)]
      const most = Math.max(...sides.map((side) => side.splits))
      const partitions = definition.spread === 'one' ? 1 : partitionsOf(most)
      const inputs = sides.map((side, i) => {
        const text = definition.text?.takes(options) === true ? textOf(side.operations) : undefined
        return close(side, { kind: 'shuffle', call: step, side: i }, partitions, text)
      })
      const source: StageSource = { kind: 'merge', call: step, stages: inputs }
      stage = { source, tasks: partitions, splits: most, local: [], operations: [] }
    }
    return stage
  }
  const close = (stage: OpenStage, target: StageTarget, partitions: number, text?: StageProgram['text']): number => {
    const { source, local, tasks } = stage
    return stages.push({ source, local, target, tasks, partitions, ...(text === undefined ? {} : { text }) }) - 1
  }

  const last = open(description)
  const { sink } = description
  if (sink === undefined) {
    close(last, { kind: 'result' }, 1)
    return { stages, functions, labels, written: undefined }
  }
  const call = stepOf(sink)
  if (sink.call.definition.publish === undefined) {
    close(last, { kind: 'effects', call }, 1)
    return { stages, functions, labels, written: 'effects' }
  }
  const gathered = close(last, { kind: 'publish', call }, 1)
  const source: StageSource = { kind: 'publish', call, stages: [gathered] }
  close({ source, tasks: 1, splits: 1, local: [], operations: [] }, { kind: 'result' }, 1)
  return { stages, functions, labels, written: 'result' }
}

/** The longest run of text operations at the end that the text kernel can do, if there is any. */
function textOf(local: readonly Placed<OperationCall>[]): StageProgram['text'] {
  let found: StageProgram['text']
  const steps: TextStep[] = []
  for (const { call } of local.toReversed()) {
    const step = call.definition.kind === 'local' ? call.definition.text?.(call.options) : undefined
    if (step === undefined) break
    steps.unshift(step)
    const tokens = tokensOf(steps)
    if (tokens === undefined) break
    found = { steps: steps.length, tokens }
  }
  return found
}

/** The stages as the engine wants them. */
export function specsOf(stages: readonly StageProgram[]): StageSpec[] {
  return stages.map(({ source, tasks, partitions }) => ({
    tasks,
    partitions,
    inputs: source.kind === 'reader' ? [] : source.stages,
  }))
}
