// Batches through a chain to what is behind it, some records at a time: with the guard that finds records which end the
// process, counts, times, and failures told with the place of their record.
import { type Batch, lengthOf, toRecords } from '../../codec/batch.ts'
import type { Failure, Phase, TaskContext } from '../../engine/runner.ts'
import type { ReadBatch } from '../define.ts'
import type { Chain } from '../fusion.ts'
import type { StepProgram } from '../program.ts'
import type { TaskFailures } from './failures.ts'
import type { Phases } from './phases.ts'

// Records that go through the loop at once: as many as make about this many at its end.
const mostTogether = 1000
const fewest = 16
const most = 8 * 1024

/** What is behind a chain. */
export interface End {
  /** What its time belongs to. */
  readonly phase: Phase
  drain(): Promise<void> | undefined
  /** No further record is wanted. */
  isFull?(): boolean
  /** Takes a batch in columns as it is; undefined where it wants the records one by one. */
  take?(batch: Batch): Promise<void> | undefined
}

/** Of one chain of a task. */
export interface DriveOptions {
  /** What the time belongs to that it waits for batches. */
  readonly waits: Phase
  /** The calls that a record is guarded in; undefined where its like are not counted. */
  readonly calls: readonly StepProgram[] | undefined
}

export class Drive {
  /** Records that came out since they were last counted. */
  out = 0
  readonly #task: TaskContext
  readonly #failures: TaskFailures
  readonly #phases: Phases
  readonly #waits: Phase
  readonly #calls: readonly StepProgram[] | undefined
  #position = 0
  /** What the guard found, where it let no record pass. */
  #killed: Failure | undefined

  constructor(task: TaskContext, failures: TaskFailures, phases: Phases, { waits, calls }: DriveOptions) {
    this.#task = task
    this.#failures = failures
    this.#phases = phases
    this.#waits = waits
    this.#calls = calls
  }

  async run(batches: AsyncIterable<ReadBatch>, chain: Chain, end: End): Promise<void> {
    // A step that takes records together is not given fewer than it wants, while there are as many.
    const wanted = chain.wants
    let together = Math.max(fewest, wanted)
    for await (const read of batches) {
      this.#phases.end(this.#waits)
      if (await this.#tookWhole(read, end)) continue
      const length = lengthOf(read.batch)
      const records = toRecords(read.batch)
      for (let from = 0; from < length;) {
        this.#task.signal.throwIfAborted()
        const allowed = this.#guard(from, Math.min(together, length - from))
        if (allowed === 0) {
          await this.#skip(read, records, from++)
          continue
        }
        const before = this.out
        const running = chain.run(records, from, from + allowed)
        if (running !== undefined) await running
        this.#phases.end('user')
        if (this.#failures.pending) await this.#failures.tell(read)
        const draining = end.drain()
        if (draining !== undefined) await draining
        this.#phases.end(end.phase)
        from += allowed
        if (end.isFull?.() === true) {
          this.#advance(from)
          return
        }
        const made = this.out - before
        if (made > most) together = Math.max(1, wanted, together >> 1)
        else if (made < most / 4) together = Math.min(Math.max(mostTogether, wanted), together * 2)
      }
      this.#advance(length)
    }
    this.#phases.end(this.#waits)
  }

  /** Whether the batch went to the end as it is, or was there already. */
  async #tookWhole({ taken, batch }: ReadBatch, end: End): Promise<boolean> {
    const count = taken ?? lengthOf(batch)
    if (taken === undefined) {
      if (end.take === undefined || batch.kind === 'records' || this.#guard(0, count) < count) return false
    }
    this.#task.signal.throwIfAborted()
    const taking = taken === undefined ? end.take?.(batch) : end.drain()
    if (taking !== undefined) await taking
    else if (taken === undefined) return false
    this.#phases.end(end.phase)
    this.out += count
    this.#advance(count)
    return true
  }

  /** How many of `count` records of a batch may be run together, `from` on. */
  #guard(from: number, count: number): number {
    this.#killed = undefined
    if (this.#calls === undefined) return count
    return this.#task.guard(this.#position + from, count, (failure) => {
      this.#killed = failure
    })
  }

  /** Steps over a record that ended the process, or that was told before. */
  async #skip(read: ReadBatch, records: readonly unknown[], at: number): Promise<void> {
    const killed = this.#killed
    if (killed !== undefined) this.#failures.found(killed, this.#calls ?? [], records[at], await read.place?.(at))
  }

  /** Counts the records of a batch that was gone through. */
  #advance(records: number): void {
    this.#position += records
    this.#task.count({ in: this.#calls === undefined ? 0 : records, out: this.out })
    this.out = 0
  }
}
