// One of the places at which a trigger runs: reads its streams, processes batches one after the other, commits each.
//
// Life of an event here: read by a feed (it is pending in the group now) -> in a batch -> processed -> committed, with its
// effects: acknowledged for good, or written down as a retry or a dead letter. While one batch is committed the next one is
// processed. Whatever ends this process, the next holder of the seat reads what is pending first; a commit of an earlier
// holder is refused by its fence.
import { EffectCatalogue } from '../../engine/effects.ts'
import { pause } from '../../engine/events.ts'
import type { Command, Failure } from '../../engine/runner.ts'
import { ConnectError, TriggerError } from '../../errors.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { numberOf } from '../../redis/replies.ts'
import { fieldOf, groupOf, type HomeKeys, type TriggerKeys } from '../keys.ts'
import type { TriggerOptions } from '../options.ts'
import type { Running, SeatOrder } from '../protocol.ts'
import type { Schedule } from '../sources/schedule.ts'
import type { EventSource } from '../sources/source.ts'
import type { BatchOutcome, BatchProgram } from './batch-program.ts'
import { Committer, FencedError } from './committer.ts'
import type { EventBatch } from './event-batch.ts'
import type { RawBatch } from './feed.ts'
import type { Gate } from './gate.ts'
import type { LoopBreaker } from './loop-breaker.ts'
import { Outboxes } from './outboxes.ts'
import { Runs } from './runs.ts'
import { SeatStreams } from './seat-streams.ts'
import { Ticker } from './ticker.ts'
import { comesIntoWindow, recordsOf, Waiting } from './waiting.ts'

const lookForStreamsMs = 500
const trimEveryMs = 1000
const retryCommitMs = 500
/** Latest events of which the latency is told. */
const latencies = 1000

export interface SeatOptions {
  readonly order: SeatOrder
  readonly namespace: string
  readonly keys: TriggerKeys
  readonly deployment: Deployment
  readonly trigger: TriggerOptions
  readonly source: EventSource
  readonly program: BatchProgram
  readonly gate: Gate
  readonly schedule?: Schedule
  readonly breaker?: LoopBreaker
  /** Notes what runs, for whoever finds this process dead. */
  readonly running: (running: Omit<Running, 'id'> | undefined) => void
  readonly answer?: (batch: EventBatch, i: number, outcome: BatchOutcome) => readonly Command[]
  readonly halt: (failure: Failure) => void
  /** What became of records that were found to end their process is committed. */
  readonly settled: (fields: readonly string[]) => void
  readonly trouble: (what: string, error: unknown) => void
}

type Work = { readonly kind: 'batch'; readonly batch: RawBatch; readonly taken: () => void } | { readonly kind: 'look' }

export class Seat {
  readonly #options: SeatOptions
  readonly #stop = new AbortController()
  readonly #streams: SeatStreams
  readonly #queue: Work[] = []
  readonly #committer: Committer
  readonly #outboxes: Outboxes
  readonly #runs: Runs
  readonly #waiting: Waiting
  #wake: (() => void) | undefined
  #committing: Promise<void> = Promise.resolve()
  #busy = false
  readonly #quiet: (() => void)[] = []
  #lookTimer: NodeJS.Timeout | undefined
  #lookAt = Infinity
  #lookPending = false
  #failed: Error | undefined
  /** Windows by event time: the latest time that was seen in each home. */
  readonly #marks = new Map<string, number>()
  readonly #took: number[] = []
  #tookAt = 0
  #tookNew = false

  constructor(options: SeatOptions) {
    this.#options = options
    const { deployment, namespace, order, trigger } = options
    this.#streams = new SeatStreams({
      ...options,
      signal: this.#stop.signal,
      give: (batch) =>
        new Promise((taken) => {
          if (this.#stop.signal.aborted) return taken()
          this.#queue.push({ kind: 'batch', batch, taken })
          this.#wake?.()
        }),
      settled: () => this.#settled(),
      fenced: (error) => this.#fail(error),
    })
    this.#runs = new Runs(options)
    const catalogue = new EffectCatalogue(deployment)
    this.#outboxes = new Outboxes(deployment, catalogue, namespace, order.name)
    this.#waiting = new Waiting({
      ...options,
      streams: this.#streams,
      outboxes: this.#outboxes,
      signal: this.#stop.signal,
      process: (batch) => this.#process(batch),
      committed: () => this.#committing,
      markOf: (home) => this.#markOf(home),
      lookIn: (ms) => this.#lookIn(ms),
    })
    this.#committer = new Committer({
      deployment,
      catalogue,
      outboxes: this.#outboxes,
      group: groupOf(namespace, order.name),
      trigger,
      deletes: options.source.deletes,
      fence: order.fence,
      seat: order.seat,
      fenceField: (stream) => this.#streams.fenceField(stream),
      answer: options.answer,
      retryIn: (ms) => this.#lookIn(ms + 1),
      halt: options.halt,
      took: (ms) => {
        this.#took[this.#tookAt++ % latencies] = ms
        this.#tookNew = true
      },
    })
  }

  /** Runs until it is stopped or fenced off. Throws what keeps it from going on. */
  async run(): Promise<void> {
    const { signal } = this.#stop
    const { schedule } = this.#options
    const makers: Promise<void>[] = []
    const housekeeping = this.#keepHouse()
    try {
      await this.#streams.open()
      for (const home of await this.#streams.homes()) await this.#outboxes.drain(home)
      if (schedule !== undefined) makers.push(this.#tick(schedule))
      this.#look()
      while (!signal.aborted) {
        const work = await this.#next()
        if (work === undefined) continue
        if (work.kind === 'look') {
          this.#lookPending = false
          await this.#waiting.takeDue()
        } else {
          work.taken()
          await this.#processNew(work.batch)
        }
      }
    } catch (error) {
      if (!(error instanceof FencedError)) throw error
    } finally {
      this.#stop.abort()
      clearTimeout(this.#lookTimer)
      await this.#committing.catch(() => undefined)
      for (const work of this.#queue.splice(0)) if (work.kind === 'batch') work.taken()
      for (const resolve of this.#quiet.splice(0)) resolve()
      await this.#streams.ended()
      await Promise.all([housekeeping, ...makers])
    }
    if (this.#failed !== undefined && !(this.#failed instanceof FencedError)) throw this.#failed
  }

  /** Lets the batch that is running end. */
  stop(): void {
    this.#stop.abort()
    this.#wake?.()
  }

  /** Looks for retries and outboxes now. */
  poke(): void {
    this.#look()
  }

  #look(): void {
    if (this.#lookPending) return
    this.#lookPending = true
    this.#queue.push({ kind: 'look' })
    this.#wake?.()
  }

  #lookIn(ms: number): void {
    const at = performance.now() + ms
    if (this.#stop.signal.aborted || this.#lookAt <= at) return
    clearTimeout(this.#lookTimer)
    this.#lookAt = at
    this.#lookTimer = setTimeout(() => {
      this.#lookAt = Infinity
      this.#look()
    }, ms)
  }

  async #next(): Promise<Work | undefined> {
    const work = this.#queue.shift()
    if (work !== undefined) {
      this.#busy = true
      return work
    }
    await this.#committing
    if (this.#queue.length === 0 && !this.#stop.signal.aborted) {
      this.#busy = false
      for (const resolve of this.#quiet.splice(0)) resolve()
      await new Promise<void>((resolve) => (this.#wake = resolve))
      this.#wake = undefined
    }
    return undefined
  }

  /** Resolves when nothing that was read waits for its commit. */
  async #settled(): Promise<void> {
    while ((this.#busy || this.#queue.some(({ kind }) => kind === 'batch')) && !this.#stop.signal.aborted) {
      await new Promise<void>((resolve) => this.#quiet.push(resolve))
    }
  }

  // Sources whose events this seat makes

  async #tick(schedule: Schedule): Promise<void> {
    const { deployment, keys, order, trouble } = this.#options
    const { signal } = this.#stop
    const [stream, fence] = this.#internal()
    const ticker = new Ticker({
      deployment,
      schedule,
      trigger: keys.trigger(order.name),
      stream,
      fence,
      signal,
      trouble,
    })
    await ticker.run().catch((error: unknown) => this.#fail(error))
  }

  #internal(): [stream: string, fence: { readonly key: string; readonly field: string; readonly value: string }] {
    const { keys, order } = this.#options
    const stream = keys.internal(order.name)
    const home = this.#streams.homeOf(stream)
    return [stream, { key: home.fences, field: this.#streams.fenceField(stream), value: order.fence }]
  }

  async #keepHouse(): Promise<void> {
    const { signal } = this.#stop
    const { source, trigger, deployment, trouble, keys, order } = this.#options
    let trimAt = performance.now() + trimEveryMs
    while (!signal.aborted) {
      const started = performance.now()
      await pause(lookForStreamsMs, signal)
      try {
        if ('pattern' in source.streams && !signal.aborted) await this.#streams.open()
        if (trigger.retain === 'processed' && performance.now() > trimAt) {
          trimAt = performance.now() + trimEveryMs
          for (const stream of this.#streams.names()) await deployment.call('trigger_trim', [stream], [])
        }
        if (this.#tookNew && !signal.aborted) {
          this.#tookNew = false
          const sorted = [...this.#took].sort((a, b) => a - b)
          const at = (part: number): number => sorted[Math.floor((sorted.length - 1) * part)] ?? 0
          const field = `took.${order.seat}`
          const key = keys.trigger(order.name)
          await deployment.call('trigger_note', [key], [order.revision, field, `${at(0.5)} ${at(0.99)}`])
        }
        // A look at a large keyspace takes its time: it must not become the server's main work.
        await pause(Math.min(10_000, 10 * (performance.now() - started - lookForStreamsMs)), signal)
      } catch (error) {
        if (error instanceof FencedError) this.#fail(error)
        else if (!signal.aborted) trouble('looking for streams', error)
      }
    }
  }

  #fail(error: unknown): void {
    this.#failed ??= error instanceof Error ? error : new TriggerError('TRIGGER_FENCED', String(error))
    this.stop()
  }

  // Events

  async #processNew({ stream, entries }: RawBatch): Promise<void> {
    const { source } = this.#options
    const { open, reread } = source
    const ids: string[] = []
    const events: unknown[] = []
    const parts: number[] = []
    for (const { id, fields } of entries) {
      if (open === undefined) {
        const bytes = reread?.(stream, id, fields)
        ids.push(id)
        events.push(bytes === undefined ? fields : await bytes)
        continue
      }
      for (const [part, event] of open(fields).entries()) {
        ids.push(id)
        events.push(event)
        parts.push(part)
      }
    }
    await this.#process({
      stream,
      home: this.#streams.homeOf(stream),
      mode: 'new',
      ids,
      ...recordsOf(ids.length, (i) => source.record(stream, ids[i] as string, events[i])),
      field: (i) => fieldOf({ id: ids[i] as string, part: parts[i] ?? 0, stream }),
      kept: (i) => events[i],
      attempts: () => 0,
      ...(this.#options.program.window === undefined ? {} : { comesAgain: comesIntoWindow }),
    })
  }

  /** Puts events into their windows: they wait among the retries. */
  async #assign(batch: EventBatch): Promise<void> {
    const { program, deployment } = this.#options
    const outcome = await this.#runs.assign(batch, await this.#markOf(batch.home))
    await this.#committing
    if (this.#failed !== undefined) return
    await (this.#committing = this.#commit(batch, outcome))
    this.#marks.set(batch.home.tag, outcome.mark)
    const { counters } = batch.home
    if (outcome.late > 0) await deployment.command(counters, ['HINCRBY', counters, 'late', outcome.late])
    if (program.window?.by === true) await deployment.command(counters, ['HSET', counters, 'mark', outcome.mark])
    this.#look()
  }

  async #markOf({ tag, counters }: HomeKeys): Promise<number> {
    const known = this.#marks.get(tag)
    if (known !== undefined) return known
    const mark = numberOf(await this.#options.deployment.command(counters, ['HGET', counters, 'mark']))
    this.#marks.set(tag, mark)
    return mark
  }

  async #process(batch: EventBatch): Promise<void> {
    const { source, program } = this.#options
    await source.prepare?.(batch.records)
    // What closes a window has its end.
    const isAssigned = program.window !== undefined && (batch.mode === 'new' || batch.comesAgain === comesIntoWindow)
    if (isAssigned) return this.#assign(batch)
    const outcome = await this.#runs.run(batch)
    await this.#committing
    if (this.#failed !== undefined) return
    // The next batch may be processed while this one is committed.
    this.#committing = this.#commit(batch, outcome)
  }

  /** Tries for as long as the server cannot: what was processed is not processed again. */
  async #commit(batch: EventBatch, outcome: BatchOutcome): Promise<void> {
    for (;;) {
      try {
        await this.#committer.commit(batch, outcome)
        const settled = this.#runs.settle(batch)
        if (settled.length > 0) this.#options.settled(settled)
        return
      } catch (error) {
        if (error instanceof FencedError) return this.#fail(error)
        const retryable = error instanceof ConnectError && error.retryable
        if (!retryable || this.#stop.signal.aborted) return this.#fail(error)
        this.#options.trouble('committing events', error)
        await pause(retryCommitMs, this.#stop.signal)
      }
    }
  }
}
