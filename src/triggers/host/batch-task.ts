// The context of a batch that goes through a whole pipeline (groups, sorts, sinks that publish) within one process: blocks
// are frames in memory, effects and failures are collected.
import type { Command, Failure, OutputBlock, TaskContext } from '../../engine/runner.ts'
import type { GearmillError } from '../../errors.ts'

/** Temporary keys of sinks outlive a batch by far; the sink's last effect renames them. */
const temporaryMs = 60 * 60 * 1000

export class BatchTask implements TaskContext {
  readonly execution: string
  readonly stage: number
  readonly task = 0
  readonly attempt = 1
  readonly worker: string
  readonly signal: AbortSignal
  readonly effects: Command[]
  readonly failures: Failure[]
  readonly #blocks: Map<number, Uint8Array[]>

  constructor(name: string, worker: string, signal: AbortSignal, before?: BatchTask) {
    this.execution = `trigger.${name}`
    this.worker = worker
    this.signal = signal
    this.stage = before === undefined ? 0 : before.stage + 1
    this.effects = before?.effects ?? []
    this.failures = before?.failures ?? []
    this.#blocks = before === undefined ? new Map<number, Uint8Array[]>() : before.#blocks
  }

  /** The same batch in its next stage. */
  next(): BatchTask {
    return new BatchTask(this.execution.slice('trigger.'.length), this.worker, this.signal, this)
  }

  guard(_index: number, available: number): number {
    return available
  }

  output(partition: number): OutputBlock {
    const id = this.stage * 1000 + partition
    let frames = this.#blocks.get(id)
    if (frames === undefined) this.#blocks.set(id, (frames = []))
    const open = frames
    return {
      append: async (frame) => {
        open.push(frame.slice())
      },
    }
  }

  async *input(stage: number, _task: number, partition: number): AsyncIterable<Uint8Array> {
    yield* this.#blocks.get(stage * 1000 + partition) ?? []
  }

  async *upload(): AsyncIterable<Uint8Array> {}

  /** The stages of a batch keep what they make in this process. */
  missing(_stage: number, cause: GearmillError): GearmillError {
    return cause
  }

  async failed(): Promise<number> {
    return this.failures.length
  }

  async temporary(): Promise<number> {
    return temporaryMs
  }

  async agree(_name: string, value: string): Promise<string> {
    return value
  }

  tasksOf(): number {
    return 1
  }

  effect(_record: number, commands: readonly Command[]): void {
    this.effects.push(...commands)
  }

  fail(failure: Failure): void {
    this.failures.push({ ...failure, worker: this.worker })
  }

  count(): void {}
}
