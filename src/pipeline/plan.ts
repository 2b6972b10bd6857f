// From the calls of a pipeline to stages: [reader | merge] -> fused local operations -> [shuffle | effects | result].
// A global operation ends a stage and begins the next one; a publishing sink adds a stage of one task.
import type { StageSpec } from '../engine/runner.ts'
import { builtins } from './builtins.ts'
import type { OperationCall, ReaderCall, SinkCall, Splits } from './define.ts'
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

export function stagesOf(description: Description, splits: Splits): StagedPlan {
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
    const at = site.place === '' ? '' : ` at ${site.place.slice(site.place.lastIndexOf('/') + 1)}`
    return {
      name,
      options,
      functions: call.functions.map((value) => indexOf(value, `${text}${at}`)),
      ...(values === undefined ? {} : { values: indexOf(values, `with(...)${at}`) }),
      ...(builtins.get(name) === definition ? {} : { definition: indexOf(definition, `${text}${at}`) }),
      text,
      place: site.place,
      stack: site.stack,
    }
  }

  const stages: StageProgram[] = []
  let source: StageSource = {
    kind: 'reader',
    call: stepOf({ call: description.reader, values: undefined }),
    data: splits.data,
  }
  let tasks = splits.count
  let local: StepProgram[] = []
  // Those of `local`.
  let definitions: Placed<OperationCall>[] = []
  const close = (target: StageTarget, partitions: number, text?: StageProgram['text']): void => {
    stages.push({ source, local, target, tasks, partitions, ...(text === undefined ? {} : { text }) })
    local = []
    definitions = []
  }

  for (const placed of description.operations) {
    const step = stepOf(placed)
    const { definition } = placed.call
    if (definition.kind === 'local') {
      local.push(step)
      definitions.push(placed)
      continue
    }
    const partitions = definition.spread === 'one' ? 1 : partitionsOf(splits.count)
    const text = definition.text?.takes(placed.call.options) === true ? textOf(definitions) : undefined
    close({ kind: 'shuffle', call: step }, partitions, text)
    source = { kind: 'merge', call: step, stage: stages.length - 1 }
    tasks = partitions
  }

  const { sink } = description
  if (sink === undefined) {
    close({ kind: 'result' }, 1)
    return { stages, functions, labels, written: undefined }
  }
  const step = stepOf(sink)
  if (sink.call.definition.publish === undefined) {
    close({ kind: 'effects', call: step }, 1)
    return { stages, functions, labels, written: 'effects' }
  }
  close({ kind: 'publish', call: step }, 1)
  source = { kind: 'publish', call: step, stage: stages.length - 1 }
  tasks = 1
  close({ kind: 'result' }, 1)
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
    inputs: source.kind === 'reader' ? [] : [source.stage],
  }))
}
