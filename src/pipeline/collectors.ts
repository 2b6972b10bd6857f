// Where records go at the end of the last stage: to the result's block, or to the server as effects.
import type { Batch } from '../codec/batch.ts'
import { encodeBatch } from '../codec/frames.ts'
import type { Command, Failure, TaskContext } from '../engine/runner.ts'
import type { Collector, RunContext } from './define.ts'
import { FrameWriter } from './shuffle/frames.ts'

/** The end of the last stage: the result's block. */
export class ResultCollector implements Collector {
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
export class EffectCollector implements Collector {
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
