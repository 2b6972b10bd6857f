// Where the records of a task go: into a shuffle or a sink, as the definition of its target says, to the result's block, or
// to the server as effects.
import type { Batch } from '../../codec/batch.ts'
import { encodeBatch } from '../../codec/frames.ts'
import type { Command, Failure, TaskContext } from '../../engine/runner.ts'
import type { Collector, RunContext } from '../define.ts'
import { checkedCommands } from '../foreign.ts'
import type { StageProgram } from '../program.ts'
import { FrameWriter } from '../shuffle/frames.ts'
import { RangeCollector, SampleCollector } from '../shuffle/ranges.ts'
import type { StageCalls } from './calls.ts'
import type { TaskFailures } from './failures.ts'
import type { StageInput } from './input.ts'

/** The collector of a stage's target. */
export async function collectorOf(
  { source, target, text, partitions }: StageProgram,
  task: TaskContext,
  calls: StageCalls,
  failures: TaskFailures,
  input: StageInput,
): Promise<Collector> {
  if (target.kind === 'result' || target.kind === 'cuts') return new ResultCollector(task, calls.context(source.call))
  const { call } = target
  const context = { ...calls.context(call), partitions }
  if (target.kind === 'samples') return new SampleCollector(context, calls.order(call), target.ranges)
  if (source.kind === 'ranges') {
    return new RangeCollector(context, calls.order(call), await input.cutsOf(source.stages[1] as number))
  }
  const functions = calls.functions(call)
  if (target.kind === 'shuffle') {
    const definition = calls.definition(call, 'global')
    if (text !== undefined && definition.text !== undefined) {
      return definition.text.collect(call.options, text.tokens, context)
    }
    return definition.collect(call.options, functions, context)
  }
  const sink = calls.definition(call, 'sink')
  if (sink.publish !== undefined) return sink.publish.collect(call.options, functions, context)
  const commands = (record: unknown): readonly Command[] => sink.effects?.(call.options, record, functions) ?? []
  return new EffectCollector(
    task,
    // Those of users may give anything.
    call.definition === undefined ? commands : (record) => checkedCommands(commands(record)),
    (failure, record) => failures.found(failure, [call], record, undefined),
  )
}

/** The end of the last stage: the result's block. */
class ResultCollector implements Collector {
  readonly #writer: FrameWriter

  constructor(task: TaskContext, context: RunContext) {
    this.#writer = new FrameWriter(
      () => task.output(0),
      (record, error) => context.fail(error, record),
    )
  }

  add(record: unknown): void {
    this.#writer.add(record)
  }

  addBatch(batch: Batch): Promise<void> {
    return this.#writer.append(encodeBatch(batch))
  }

  drain(): Promise<void> | undefined {
    return this.#writer.drain()
  }

  end(): Promise<void> {
    return this.#writer.end()
  }
}

/** The end of a sink's stage: commands that are applied when the task commits. */
class EffectCollector implements Collector {
  readonly #task: TaskContext
  readonly #commands: (record: unknown) => readonly Command[]
  readonly #refused: (failure: Failure, record: unknown) => void
  #waiting: Promise<void>[] = []
  #records = 0

  constructor(
    task: TaskContext,
    commands: (record: unknown) => readonly Command[],
    refused: (failure: Failure, record: unknown) => void,
  ) {
    this.#task = task
    this.#commands = commands
    this.#refused = refused
  }

  add(record: unknown): void {
    const commands = this.#commands(record)
    if (commands.length === 0) return
    const adding = this.#task.effect(this.#records++, commands, (failure) => this.#refused(failure, record))
    if (adding !== undefined) this.#waiting.push(adding)
  }

  drain(): Promise<void> | undefined {
    if (this.#waiting.length === 0) return undefined
    const waiting = this.#waiting
    this.#waiting = []
    return Promise.all(waiting).then(() => undefined)
  }

  async end(): Promise<void> {
    await this.drain()
  }
}
