// The engine's side of one task while it runs in an executor: blocks in and out, effects, failures, counters.
import { inspect } from 'node:util'
import { BlockMissingError, type BlockStore, type BlockWriter } from '../../blocks/store.ts'
import { encodeRecords } from '../../codec/frames.ts'
import { type GearmillError, RecordError } from '../../errors.ts'
import type { SkippedRecord, Position } from '../attempts.ts'
import { failureOf } from '../failure.ts'
import { failuresName, outputName, uploadName } from '../keys.ts'
import type { TaskMessage } from '../protocol.ts'
import type { Command, Failure, OutputBlock, TaskContext, TaskCount } from '../runner.ts'
import type { Outbox, TaskCounts } from './outbox.ts'
import { takeTally } from './tally.ts'
import type { PositionWriter } from './position.ts'

/** Failures are written in frames of so many. */
const failuresPerFrame = 200

export interface TaskParts {
  readonly message: TaskMessage
  readonly token: string
  readonly worker: string
  readonly signal: AbortSignal
  readonly memoryMb: number
  readonly blocks: BlockStore
  readonly outbox: Outbox
  readonly position: PositionWriter
  /** Marks what is started from here on as a record's; where it is set, records run one by one. */
  readonly trace?: ((record: number) => void) | undefined
  /** Failed records of committed tasks. */
  readonly failed: () => Promise<number>
  /** Notes a temporary key; gives how long it lives and the run id of its server. */
  readonly temporary: (key: string) => Promise<{ readonly ttlMs: number; readonly run: string }>
  /** Stores a value where there is none under its name; gives the one that is there. */
  readonly agree: (name: string, value: string) => Promise<string>
  readonly tasksOf: (stage: number) => number
  readonly partitionsOf: (stage: number) => number
  /** Token of the attempt that committed a task of an earlier stage. */
  readonly winner: (stage: number, task: number) => Promise<string>
}

/** Something that an earlier stage made, and that is not there. */
export interface LostBlock {
  readonly stage: number
  /** Why the runner needs it; undefined for blocks. */
  readonly cause?: GearmillError
}

export class RunningTask implements TaskContext {
  readonly execution: string
  readonly stage: number
  readonly task: number
  readonly attempt: number
  readonly worker: string
  readonly signal: AbortSignal
  readonly memoryMb: number
  /** Set before a missing block is thrown at the runner. */
  lost: LostBlock | undefined;
  in = 0
  out = 0
  bytes = 0
  errors = 0
  /** Temporary keys, with the run id of their server when they were begun. */
  readonly temporaries = new Map<string, string>()
  readonly #parts: TaskParts
  readonly #outputs = new Map<number, BlockWriter>()
  readonly #suspect: Position | undefined
  readonly #skip: readonly SkippedRecord[]
  readonly #began = Date.now()
  readonly #spent = new Map<string, number>()
  #shard: string | undefined
  #skipped = 0
  #sent = 0
  #failures: Failure[] = []
  #failureBlock: BlockWriter | undefined
  #failureFlush: Promise<void> = Promise.resolve()

  constructor(parts: TaskParts) {
    const { message } = parts
    this.#parts = parts
    this.execution = message.execution
    this.stage = message.stage
    this.task = message.task
    this.attempt = message.attempt
    this.worker = parts.worker
    this.signal = parts.signal
    this.memoryMb = parts.memoryMb
    this.#suspect = message.suspect
    this.#skip = message.skip
  }

  guard(index: number, available: number, found = (failure: Failure): void => this.fail(failure)): number {
    let take = available
    for (const skipped of this.#skip) {
      if (skipped.index === index) {
        this.#parts.position.write(0, 0)
        const { index: _, ...why } = skipped
        found({ ...why, place: this.#place(`record ${index}`) })
        return 0
      }
      if (skipped.index > index) take = Math.min(take, skipped.index - index)
    }
    const suspect = this.#suspect
    if (suspect && index + take > suspect.index && index < suspect.index + suspect.count) {
      take = index < suspect.index ? suspect.index - index : 1
    }
    if (this.#parts.trace) {
      take = Math.min(1, take)
      this.#parts.trace(index)
    }
    this.#parts.position.write(index, take)
    return take
  }

  output(partition: number): OutputBlock {
    const open = this.#outputs.get(partition)
    if (open) return this.#counted(open)
    const writer = this.#parts.blocks.writer(
      this.execution,
      outputName(this.stage, this.task, this.#parts.token, partition),
    )
    this.#outputs.set(partition, writer)
    return this.#counted(writer)
  }

  #counted(writer: BlockWriter): OutputBlock {
    return {
      append: (frame) => {
        this.#sent += frame.length
        return writer.append(frame)
      },
    }
  }

  async *input(stage: number, task: number, partition: number): AsyncIterable<Uint8Array> {
    const token = await this.#parts.winner(stage, task)
    try {
      yield* this.#parts.blocks.read(this.execution, outputName(stage, task, token, partition))
    } catch (error) {
      if (error instanceof BlockMissingError) this.lost = { stage }
      throw error
    }
  }

  missing(stage: number, cause: GearmillError): BlockMissingError {
    this.lost = { stage, cause }
    return new BlockMissingError(this.execution, `of stage ${stage}`, cause.message, { cause })
  }

  upload(index: number): AsyncIterable<Uint8Array> {
    return this.#parts.blocks.read(this.execution, uploadName(index))
  }

  failed(): Promise<number> {
    return this.#parts.failed()
  }

  async temporary(key: string): Promise<number> {
    const { run, ttlMs } = await this.#parts.temporary(key)
    this.temporaries.set(key, run)
    return ttlMs
  }

  agree(name: string, value: string): Promise<string> {
    return this.#parts.agree(name, value)
  }

  tasksOf(stage: number): number {
    return this.#parts.tasksOf(stage)
  }

  effect(
    record: number,
    commands: readonly Command[],
    refused = (failure: Failure): void => this.fail(failure),
  ): void | Promise<void> {
    if (commands.length === 0) return
    try {
      const added = this.#parts.outbox.add(record, commands)
      return added?.catch((error: unknown) => {
        this.#refuse(error, record, refused)
      })
    } catch (error) {
      this.#refuse(error, record, refused)
    }
  }

  // A command that may not be an effect is the record's error; anything else (a lost connection) the task's.
  #refuse(error: unknown, record: number, refused: (failure: Failure) => void): void {
    if (!(error instanceof RecordError)) throw error
    refused({ ...failureOf(error, 'EXECUTION_RECORD'), place: this.#place(`record ${record}`) })
  }

  fail(failure: Failure): void {
    this.errors += 1
    this.#failures.push({ ...failure, worker: this.worker, place: failure.place ?? this.#place() })
    if (this.#failures.length >= failuresPerFrame) this.#flushFailures()
  }

  count(counts: TaskCount): void {
    this.in += counts.in ?? 0
    this.out += counts.out ?? 0
    this.bytes += counts.bytes ?? 0
    this.#shard = counts.shard ?? this.#shard
    this.#skipped += counts.skipped ?? 0
    for (const [phase, ms] of Object.entries(counts.spent ?? {})) {
      this.#spent.set(phase, (this.#spent.get(phase) ?? 0) + ms)
    }
  }

  /** What is to be committed with the task. Takes what user code has counted. */
  counts(): TaskCounts {
    const { in: read, out, bytes, errors } = this
    return { in: read, out, bytes, errors, sums: [...this.#profile(), ...takeTally()] }
  }

  /** Fields of the stage, whole numbers: see profileOf(). */
  *#profile(): Iterable<readonly [string, number]> {
    // The number of a stream's entry begins with the milliseconds at which it was added, by the server's clock.
    const waited = this.#began - Number(this.#parts.message.entry.split('-')[0])
    yield ['.attempts', this.attempt]
    if (this.#sent > 0) yield ['.sent', this.#sent]
    if (waited > 0) yield ['.us.waiting', waited * 1000]
    for (const [phase, ms] of this.#spent) if (ms > 0) yield [`.us.${phase}`, Math.round(ms * 1000)]
    if (this.#skipped > 0) yield ['.skipped', this.#skipped]
    if (this.#shard === undefined) return
    yield [`.shard.${this.#shard}.tasks`, 1]
    yield [`.shard.${this.#shard}.in`, this.in]
    yield [`.shard.${this.#shard}.out`, this.out]
  }

  #place(of?: string): string {
    const task = `stage ${this.stage}, task ${this.task}`
    return of === undefined ? task : `${task}, ${of}`
  }

  #flushFailures(): void {
    const failures = this.#failures
    if (failures.length === 0) return
    this.#failures = []
    this.#failureBlock ??= this.#parts.blocks.writer(
      this.execution,
      failuresName(this.stage, this.task, this.#parts.token),
    )
    const block = this.#failureBlock
    this.#failureFlush = this.#failureFlush.then(() => block.append(encodeRecords(failures.map(portable))))
  }

  /** Makes the blocks readable, partitions that nothing was written to included: what is not there is lost. */
  async seal(): Promise<void> {
    this.#parts.position.write(0, 0)
    for (let partition = 0; partition < this.#parts.partitionsOf(this.stage); partition++) this.output(partition)
    await Promise.all([...this.#outputs.values()].map((block) => block.close()))
    this.#flushFailures()
    await this.#failureFlush
    await this.#failureBlock?.close()
  }

  /** Leaves nothing behind. */
  async discard(): Promise<void> {
    await Promise.allSettled([
      ...[...this.#outputs.values()].map((block) => block.discard()),
      this.#failureFlush.then(() => this.#failureBlock?.discard()),
    ])
  }
}

// A failed record travels as far as it can: what cannot is described by its text.
function portable(failure: Failure): Failure {
  if (failure.record === undefined) return failure
  try {
    const frame = encodeRecords([failure.record])
    if (frame.length <= 64 * 1024) return failure
    return { ...failure, record: `${inspect(failure.record).slice(0, 1000)}... (${frame.length} bytes)` }
  } catch {
    return { ...failure, record: Object.prototype.toString.call(failure.record) }
  }
}
