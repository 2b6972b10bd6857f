// Events that wait in Redis: those that are tried again, and those of windows that are not over. They lie under their homes,
// ordered by when they are due: without windows by time; with windows by the end of each, and below 0 by the time at which an
// event is to be put into its window (again): it failed in front of window(), or was replayed.
import { failureOf } from '../../engine/failure.ts'
import type { Failure } from '../../engine/runner.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { slotOf } from '../../redis/slots.ts'
import { eventNameOf, groupOf, type HomeKeys } from '../keys.ts'
import type { TriggerOptions } from '../options.ts'
import type { SeatOrder } from '../protocol.ts'
import type { EventSource } from '../sources/source.ts'
import type { BatchProgram } from './batch-program.ts'
import { unpackPlain, type EventBatch, type KeptEvent } from './event-batch.ts'
import type { Outboxes } from './outboxes.ts'
import type { SeatStreams } from './seat-streams.ts'

const dueAtOnce = 1000
const streamsTogether = 100
/** Where times of events to be put into windows begin; the server functions know it as before_windows. */
const beforeWindows = -1e15

export interface WaitingOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly order: SeatOrder
  readonly trigger: TriggerOptions
  readonly source: EventSource
  readonly program: BatchProgram
  readonly streams: SeatStreams
  readonly outboxes: Outboxes
  readonly signal: AbortSignal
  readonly process: (batch: EventBatch) => Promise<void>
  /** Resolves when what was processed is committed. */
  readonly committed: () => Promise<void>
  /** Of windows by event time: the latest time that was seen in a home. */
  readonly markOf: (home: HomeKeys) => Promise<number>
  readonly lookIn: (ms: number) => void
}

export class Waiting {
  readonly #options: WaitingOptions
  /** Windows that failed, by home and end: until when they rest, in performance time. */
  readonly #resting = new Map<string, number>()

  constructor(options: WaitingOptions) {
    this.#options = options
  }

  /** Processes what is due, and says when to look again. */
  async takeDue(): Promise<void> {
    const { streams, outboxes, program, committed, signal } = this.#options
    await committed()
    for (const home of await streams.homes()) {
      await outboxes.drain(home)
      if (program.window === undefined) await this.#retryDue(home, 0)
      else {
        // All of a window that are replayed are in it before it is closed.
        while ((await this.#retryDue(home, beforeWindows)) === dueAtOnce && !signal.aborted);
        await this.#closeWindows(home)
      }
    }
  }

  /** @param origin what lies at it is due at the beginning of time. Gives how many there were, dueAtOnce at most. */
  async #retryDue(home: HomeKeys, origin: number): Promise<number> {
    const { deployment, trigger, lookIn } = this.#options
    const now = origin + (await this.#serverNow(home))
    const range = ['ZRANGE', home.due, '-inf', now, 'BYSCORE', 'LIMIT', 0, dueAtOnce]
    const due = itemsOf(await deployment.command(home.due, range)).map(textOf)
    const mine = due.filter((field) => this.#ownsRetry(eventNameOf(field).stream))
    for (let i = 0; i < mine.length; i += trigger.batch) await this.#retry(home, mine.slice(i, i + trigger.batch))
    const first = itemsOf(await deployment.command(home.due, ['ZRANGE', home.due, 0, 0, 'WITHSCORES']))[0]
    const at = first === undefined ? Infinity : numberOf(itemsOf(first)[1])
    const isRetry = origin === 0 || at < 0
    if (first !== undefined && isRetry) lookIn(Math.max(100, at - now))
    return due.length
  }

  #ownsRetry(stream: string): boolean {
    const { trigger, order } = this.#options
    return trigger.concurrency === 1 || slotOf(stream) % trigger.concurrency === order.seat
  }

  async #serverNow(home: HomeKeys): Promise<number> {
    const [seconds, micros] = itemsOf(await this.#options.deployment.command(home.due, ['TIME']))
    return numberOf(seconds) * 1000 + Math.floor(numberOf(micros) / 1000)
  }

  /** Processes every window that is over, each as one batch. */
  async #closeWindows(home: HomeKeys): Promise<void> {
    const { deployment, program, signal, markOf, lookIn } = this.#options
    const byEvent = program.window?.by === true
    for (let from = '0'; !signal.aborted;) {
      const range = ['ZRANGE', home.due, from, '+inf', 'BYSCORE', 'LIMIT', 0, 1, 'WITHSCORES']
      const first = itemsOf(await deployment.command(home.due, range))[0]
      if (first === undefined) return
      const end = numberOf(itemsOf(first)[1])
      const now = byEvent ? await markOf(home) : await this.#serverNow(home)
      if (end > now) {
        if (!byEvent) lookIn(Math.max(1, end - now))
        return
      }
      // Those that are read come into the window soon, and have it looked at again.
      if (!byEvent && (await this.#isBehind(home, end))) return
      const rest = (this.#resting.get(restOf(home, end)) ?? 0) - performance.now()
      if (rest > 0) {
        lookIn(rest + 1)
        from = `(${end}`
        continue
      }
      const fields = itemsOf(await deployment.command(home.due, ['ZRANGE', home.due, end, end, 'BYSCORE'])).map(textOf)
      this.#resting.delete(restOf(home, end))
      await this.#retry(home, fields, end)
    }
  }

  /** Whether events that belong into windows up to one that ends then are not in them yet. */
  async #isBehind({ tag }: HomeKeys, end: number): Promise<boolean> {
    const { deployment, streams, order, namespace } = this.#options
    const here = [...streams.names()].filter((stream) => streams.homeOf(stream).tag === tag)
    for (let i = 0; i < here.length; i += streamsTogether) {
      const keys = here.slice(i, i + streamsTogether)
      const reply = await deployment.call('trigger_behind', keys, [groupOf(namespace, order.name), end])
      if (numberOf(reply) === 1) return true
    }
    return false
  }

  /** @param end of the window that they are all events of; undefined: they run by themselves, or are put into windows */
  async #retry(home: HomeKeys, fields: readonly string[], end?: number): Promise<void> {
    const { deployment, source, program, streams, signal, process, committed } = this.#options
    const values = itemsOf(await deployment.command(home.retries, ['HMGET', home.retries, ...fields], { binary: true }))
    const byStream = new Map<string, { field: string; attempts: number; event: unknown }[]>()
    for (const [i, value] of values.entries()) {
      if (!Buffer.isBuffer(value)) continue
      const space = value.indexOf(0x20)
      const field = fields[i] as string
      const { event } = unpackPlain(value.subarray(space + 1)) as KeptEvent
      const retry = { field, attempts: Number(value.toString('latin1', 0, space)), event }
      // A window is of all streams together.
      const stream = eventNameOf(end === undefined ? field : (fields[0] as string)).stream
      const list = byStream.get(stream)
      if (list === undefined) byStream.set(stream, [retry])
      else list.push(retry)
    }
    for (const [stream, retries] of byStream) {
      if (signal.aborted) return
      await streams.attach(stream)
      await process({
        stream,
        home,
        mode: 'again',
        closes: end !== undefined && retries.every(({ attempts }) => attempts === 0),
        ...(program.window === undefined ? {} : { comesAgain: this.#comesAgain(home, end) }),
        ids: retries.map(({ field }) => field),
        ...recordsOf(retries.length, (i) => {
          const { field, event } = retries[i] as (typeof retries)[number]
          return source.record(eventNameOf(field).stream, eventNameOf(field).id, event)
        }),
        field: (i) => retries[i]?.field ?? '',
        kept: (i) => retries[i]?.event,
        attempts: (i) => retries[i]?.attempts ?? 0,
      })
      await committed()
    }
  }

  /** The events of a window that failed come again together: they stay where they are, and rest. */
  #comesAgain(home: HomeKeys, end: number | undefined): (delayMs: number) => string {
    if (end === undefined) return comesIntoWindow
    return (delayMs) => {
      this.#resting.set(restOf(home, end), performance.now() + delayMs)
      return `@${end}`
    }
  }
}

/** An event that failed in front of window() is put into its window later. */
export function comesIntoWindow(delayMs: number): string {
  return `~${Math.ceil(delayMs)}`
}

function restOf({ tag }: HomeKeys, end: number): string {
  return `${tag} ${end}`
}

/** The records of events; what cannot be read fails by itself. */
export function recordsOf(count: number, recordOf: (i: number) => unknown): Pick<EventBatch, 'records' | 'unreadable'> {
  const records: unknown[] = []
  let unreadable: Map<number, Failure> | undefined
  for (let i = 0; i < count; i++) {
    try {
      records.push(recordOf(i))
    } catch (error) {
      records.push(undefined)
      unreadable ??= new Map()
      unreadable.set(i, failureOf(error, 'EXECUTION_RECORD'))
    }
  }
  return { records, unreadable }
}
