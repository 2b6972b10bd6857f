// One run of a pipeline as its user holds it.
import { decodeRecords } from '../codec/frames.ts'
import type {
  EndedExecution,
  ExecutionDeadLetter,
  ExecutionHandle,
  ExecutionProfile,
  ExecutionStatus,
} from '../engine/execution.ts'
import { recordErrorOf } from '../engine/failure.ts'
import { ExecutionError, type RecordError } from '../errors.ts'
import type { Plan } from './explain.ts'
import type { Site } from './site.ts'

/** An execution of any client: what the server knows of it. */
export class RunningExecution<T> {
  readonly id: string
  readonly #handle: ExecutionHandle
  readonly #sink: Site | undefined

  /** @param sink where the sink was added, for the effects that the server refused */
  constructor(handle: ExecutionHandle, sink?: Site) {
    this.id = handle.id
    this.#handle = handle
    this.#sink = sink
  }

  status(): Promise<ExecutionStatus> {
    return this.#handle.status()
  }

  /** What each stage has cost so far: records, bytes, time, attempts. */
  profile(): Promise<ExecutionProfile> {
    return this.#handle.profile()
  }

  /** A state when something changed, at most ten times a second; ends with the execution. */
  progress(): AsyncIterable<ExecutionStatus> {
    return this.#handle.progress()
  }

  /** Effects that were refused (EXECUTION_EFFECT), with what was not applied because of it. */
  deadLetters(): Promise<ExecutionDeadLetter[]> {
    return this.#handle.deadLetters()
  }

  /** Applies what the dead letters hold, each command once, after their keys were mended; `left` letters are refused again. */
  replay(): Promise<{ readonly applied: number; readonly left: number }> {
    return this.#handle.replay()
  }

  /** Ends it within a second; what was committed stays. */
  abort(): Promise<void> {
    return this.#handle.abort()
  }

  /** The good records, a frame in memory at a time. Throws at its end where a record or the execution failed. */
  async *results(): AsyncGenerator<T> {
    const ended = await this.#handle.ended()
    this.#throwIfEndedBadly(ended)
    yield* this.#read(ended)
    if (ended.errors > 0) throw await this.#failed(ended, [])
  }

  /** All records. Rejects with an ExecutionError (`errors`, `results`) where a record or the execution failed. */
  async result(): Promise<T[]> {
    const { results, errors, ended } = await this.outcome()
    if (errors.length > 0) throw failed(ended, errors, results)
    return results
  }

  /** The good records and the failed ones. Rejects where the execution as a whole failed. */
  async outcome(): Promise<{ readonly results: T[]; readonly errors: RecordError[]; readonly ended: EndedExecution }> {
    const ended = await this.#handle.ended()
    const errors = ended.errors > 0 ? await this.#errors() : []
    this.#throwIfEndedBadly(ended, errors)
    const results: T[] = []
    for await (const record of this.#read(ended)) results.push(record)
    return { results, errors, ended }
  }

  async #failed(ended: EndedExecution, results: readonly T[]): Promise<ExecutionError<T>> {
    return failed(ended, await this.#errors(), results)
  }

  async #errors(): Promise<RecordError[]> {
    const errors: RecordError[] = []
    for await (const failure of this.#handle.failures()) {
      const error = recordErrorOf(failure)
      if (error.code === 'EXECUTION_EFFECT' && this.#sink) error.stack = `${String(error)}\n${this.#sink.stack}`
      errors.push(error)
    }
    return errors
  }

  #throwIfEndedBadly(ended: EndedExecution, errors: readonly RecordError[] = []): void {
    if (ended.state === 'done') return
    const { failure, id } = ended
    const cause = failure === undefined ? undefined : recordErrorOf(failure)
    const code = cause?.code ?? (ended.state === 'aborted' ? 'EXECUTION_ABORTED' : 'EXECUTION_FAILED')
    const message = cause?.message ?? `execution ${id} was ${ended.state === 'aborted' ? 'aborted' : 'ended'}`
    throw new ExecutionError(code, message, { execution: id, errors }, cause === undefined ? {} : { cause })
  }

  /** Records, or `{ written }` of one that has a sink. */
  async *#read({ writtenBy, written }: EndedExecution): AsyncGenerator<T> {
    const frames = recordsOf(this.#handle.frames())
    if (writtenBy === undefined) {
      for await (const records of frames) yield* records as readonly T[]
      return
    }
    let count = writtenBy === 'effects' ? written : 0
    for await (const records of frames) for (const record of records) count += record as number
    yield { written: count } as T
  }
}

/** A pipeline that was started here. */
export class Execution<T> extends RunningExecution<T> {
  readonly #plan: Plan

  constructor(handle: ExecutionHandle, plan: Plan, sink?: Site) {
    super(handle, sink)
    this.#plan = plan
  }

  explain(): Plan {
    return this.#plan
  }
}

async function* recordsOf(frames: AsyncIterable<Uint8Array>): AsyncGenerator<readonly unknown[]> {
  for await (const frame of frames) yield decodeRecords(frame)
}

function failed<T>(ended: EndedExecution, errors: readonly RecordError[], results: readonly T[]): ExecutionError<T> {
  const [first] = errors
  const count = errors.length === 1 ? '1 record failed' : `${errors.length} records failed`
  const place = first === undefined || first.place === '' ? '' : ` (${first.place})`
  const message = `${count}; the first: ${first?.message ?? 'unknown'}${place}`
  return new ExecutionError('EXECUTION_FAILED', message, { execution: ended.id, errors, results }, { cause: first })
}
