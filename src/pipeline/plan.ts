// From the calls of a pipeline to stages: [reader | merge] -> fused local operations -> [shuffle | effects | result].
// A global operation ends a stage and begins the next one; a publishing sink adds a stage of one task.
import type { StageSpec, WrittenBy } from '../engine/runner.ts'
import { builtins } from './builtins.ts'
import {
  type GlobalDefinition,
  type OperationCall,
  type ReaderCall,
  type SinkCall,
  type Splits,
  executorPart,
} from './define.ts'
import { type JoinBesideOptions, joinBeside } from './operations/join-beside.ts'
import type { JoinOptions } from './operations/join.ts'
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
  readonly written: WrittenBy | undefined
}

const mostPartitions = 64
// Every task writes a block for each partition.
const mostBlocks = 16_384
/** So few records are no matter: each executor gets all of that side of a join, and one task sorts them. */
const fewRecords = 20_000

/** One partition for every two splits, so that its keys mostly fit in memory; for four of what is little or was combined first. */
function partitionsOf(splits: number, { combines }: GlobalDefinition): number {
  const together = combines || splits <= 4 ? 4 : 2
  return Math.max(1, Math.min(mostPartitions, Math.ceil(splits / together), Math.floor(mostBlocks / splits)))
}

/** A range is sorted in memory where it can be, so there are more of them. One: not worth finding any. */
function rangesOf({ tasks, records = Infinity }: OpenStage): number {
  if (tasks <= 4 || records <= fewRecords) return 1
  return Math.max(1, Math.min(mostPartitions, Math.ceil(tasks / 2), Math.floor(mostBlocks / tasks)))
}

/** A stage whose end is not known yet. */
interface OpenStage {
  readonly source: StageSource
  readonly tasks: number
  /** Of the readers that its records come from. */
  readonly splits: number
  /** About how many records it gives at most, where that is known. */
  readonly records: number | undefined
  readonly local: StepProgram[]
  /** Those of `local`. */
  readonly operations: Placed<OperationCall>[]
}

const noSplits: Splits = { count: 1, data: null }

/** The readers of a pipeline: its own, then those of the pipelines that it joins, in the order of its operations. */
export function readersOf({ reader, operations }: Description): ReaderCall[] {
  return [reader, ...operations.flatMap(({ call }) => (call.other === undefined ? [] : readersOf(call.other)))]
}

/** For each of them, whether the text kernel takes its records as they are. */
export function asTextOf({ operations }: Description): boolean[] {
  const first = operations.findIndex(({ call }) => call.definition.kind === 'global')
  const own = operations.slice(0, Math.max(0, first))
  const global = operations[first]?.call
  const takes = global?.definition.kind === 'global' && global.definition.text?.takes(global.options) === true
  const kernel = takes && (own.length === 0 || textOf(own)?.steps === own.length)
  return [kernel, ...operations.flatMap(({ call }) => (call.other === undefined ? [] : asTextOf(call.other)))]
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
      records: read.records,
      local: [],
      operations: [],
    }
    for (const placed of operations) {
      const { definition, options, other } = placed.call
      const step = stepOf(placed)
      const records = stage.records === undefined ? undefined : definition.most?.(stage.records, options)
      if (definition.kind === 'local') {
        stage.local.push(step)
        stage.operations.push(placed)
        stage = { ...stage, records }
        continue
      }
      const sides = other === undefined ? [stage] : [stage, open(other)]
      const whole = sides.length === 1 ? undefined : wholeSideOf(sides, options as JoinOptions)
      if (whole !== undefined) {
        stage = beside(sides as [OpenStage, OpenStage], whole, placed, step)
        continue
      }
      const splits = Math.max(...sides.map((side) => side.splits))
      const ranges = definition.spread === 'ranges' ? rangesOf(stage) : 1
      const partitions = definition.spread === 'hash' ? partitionsOf(splits, definition) : ranges
      const inputs =
        ranges > 1
          ? [toRanges(stage, step, ranges)]
          : sides.map((side, i) => {
              const text = definition.text?.takes(options) === true ? textOf(side.operations) : undefined
              return close(side, { kind: 'shuffle', call: step, side: i }, partitions, text)
            })
      const source: StageSource = { kind: 'merge', call: step, stages: inputs }
      stage = { source, tasks: partitions, splits, records, local: [], operations: [] }
    }
    return stage
  }
  /** The stages of a join whose one side every task of the other sees as a whole; the other side goes on. */
  const beside = (
    [left, right]: readonly [OpenStage, OpenStage],
    whole: 0 | 1,
    placed: Placed<OperationCall>,
    step: StepProgram,
  ): OpenStage => {
    const { how } = step.options as JoinOptions
    const index = close(whole === 0 ? left : right, { kind: 'shuffle', call: step, side: whole, whole: true }, 1)
    const options: JoinBesideOptions = { how, whole }
    const text = `${step.text} with all of stage ${index}`
    const going = whole === 0 ? right : left
    going.local.push({ ...step, name: joinBeside.name, options, text, beside: index })
    going.operations.push(placed)
    return { ...going, records: undefined }
  }
  /** The stages that send records to their ranges: the last one's index. */
  const toRanges = (stage: OpenStage, call: StepProgram, ranges: number): number => {
    const { tasks, splits } = stage
    const nothing = { local: [], operations: [], records: undefined }
    const sampled = close(stage, { kind: 'samples', call, ranges }, 2)
    const cutting: StageSource = { kind: 'cuts', call, stages: [sampled] }
    const cut = close({ source: cutting, tasks: 1, splits: 1, ...nothing }, { kind: 'cuts', call, ranges }, 1)
    const source: StageSource = { kind: 'ranges', call, stages: [sampled, cut] }
    return close({ source, tasks, splits, ...nothing }, { kind: 'shuffle', call, side: 0 }, ranges)
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
  close({ source, tasks: 1, splits: 1, records: undefined, local: [], operations: [] }, { kind: 'result' }, 1)
  return { stages, functions, labels, written: 'results' }
}

/** The side of a join that is small enough to be nobody's part but everybody's; undefined: both are shuffled. */
function wholeSideOf([left, right]: readonly OpenStage[], { how }: JoinOptions): 0 | 1 | undefined {
  const isSmall = (side: OpenStage | undefined): boolean => (side?.records ?? Infinity) <= fewRecords
  // Who has no match is only known by who has seen all of the other side.
  if (how === 'outer') return undefined
  if (isSmall(right)) return 1
  return how === 'inner' && isSmall(left) ? 0 : undefined
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
  return stages.map(({ source, local, tasks, partitions }) => ({
    tasks,
    partitions,
    inputs: [
      ...(source.kind === 'reader' ? [] : source.stages),
      ...local.flatMap((step) => (step.beside === undefined ? [] : [step.beside])),
    ],
  }))
}
