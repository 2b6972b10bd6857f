// The failed records of one task, each told with where it came from and which call it was given to.
import { errorIn } from '../../engine/failure.ts'
import type { Failure, TaskContext } from '../../engine/runner.ts'
import { ModelError } from '../../errors.ts'
import type { ReadBatch } from '../define.ts'
import { completed, failureOf } from '../failures.ts'
import type { StageProgram, StepProgram } from '../program.ts'

/** What was thrown in the loop. */
interface Pending {
  readonly call: StepProgram
  readonly thrown: unknown
  readonly record: unknown
  /** The index in its batch of the record that it was made from. */
  readonly origin: number
}

export class TaskFailures {
  readonly #stage: StageProgram
  readonly #task: TaskContext
  #pending: Pending[] = []
  #count = 0

  constructor(stage: StageProgram, task: TaskContext) {
    this.#stage = stage
    this.#task = task
  }

  /** How many were told. */
  get count(): number {
    return this.#count
  }

  /** Whether some wait to be told. */
  get pending(): boolean {
    return this.#pending.length > 0
  }

  /** Keeps one until the loop is left: looking up where its record came from may take time. */
  keep(call: StepProgram, thrown: unknown, record: unknown, origin: number): void {
    this.#pending.push({ call, thrown, record, origin })
  }

  /** Tells those that were kept; `read` is the batch that their records were made from. */
  async tell(read: ReadBatch | undefined): Promise<void> {
    const pending = this.#pending
    this.#pending = []
    for (const { call, thrown, record, origin } of pending) {
      this.fail(call, thrown, record, await read?.place?.(origin))
    }
  }

  fail(call: StepProgram, thrown: unknown, record: unknown, place: string | undefined): void {
    const error = errorIn(thrown)
    // Not the record's fault: another worker may have what this one lacks.
    if (error instanceof ModelError && error.code === 'MODEL_RUNTIME') throw error
    this.#count++
    this.#task.fail(
      failureOf(thrown, {
        record,
        place: place ?? `stage ${this.#task.stage}, task ${this.#task.task}`,
        operation: call.text,
        site: { place: call.place, stack: call.stack },
      }),
    )
  }

  /** A record that the engine found or refused. Which of the functions it was nobody knows: all are named, with the first one's place. */
  found(failure: Failure, calls: readonly StepProgram[], record: unknown, place: string | undefined): void {
    const suspects = calls.filter(({ functions }) => functions.length > 0)
    const { place: written, stack } = suspects[0] ?? this.#stage.source.call
    this.#count++
    this.#task.fail(
      completed(failure, {
        record,
        ...(place === undefined ? {} : { place }),
        ...(suspects.length > 0 ? { operation: suspects.map(({ text }) => text).join(' > ') } : {}),
        site: { place: written, stack },
      }),
    )
  }
}
