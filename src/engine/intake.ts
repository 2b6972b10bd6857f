// How tasks of one lane reach a worker: new ones by a blocking read, those of dead workers when their lease is over, delayed
// ones when they are due. It also keeps the worker's own leases, and its sign of life.
import type { BlockingConnection, Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf, streamEntriesOf, textMapOf, textOf, type StreamEntry } from '../redis/replies.ts'
import { pause } from './events.ts'
import type { LaneKeys } from './keys.ts'

const blockMs = 1000
const retryMs = 100
/** Expired tasks taken over at a time. */
const takeAtOnce = 16

export interface Arrival extends StreamEntry {
  readonly lane: LaneKeys
  /** How often the entry was handed out, this time included. */
  readonly deliveries: number
}

export interface IntakeOptions {
  readonly deployment: Deployment
  readonly lane: LaneKeys
  readonly worker: string
  readonly leaseMs: number
  /** Resolves with how many tasks are wanted, at least 1. */
  readonly wanted: () => Promise<number>
  readonly arrived: (arrival: Arrival) => void
  /** Entries whose leases this worker renews. */
  readonly held: () => readonly string[]
  /** Entries that this worker lost to another one. */
  readonly lost: (entries: readonly string[]) => void
  /** It runs scripts of anybody. */
  readonly allowScripts: boolean
  /** What the worker says of itself. */
  readonly describe: () => { readonly executors: number; readonly text: string }
  readonly trouble: (what: string, error: unknown) => void
}

/** Timers that are to wait for longer do not wait at all. */
const longestTimerMs = 2 ** 31 - 1

export class Intake {
  readonly #options: IntakeOptions
  readonly #stop = new AbortController()
  readonly #loops: Promise<void>[] = []
  #dueTimer: NodeJS.Timeout | undefined
  #dueAt = 0
  /** The server may have been away since the last read of tasks: one failed, or had another connection. */
  #wasCut = false

  constructor(options: IntakeOptions) {
    this.#options = options
  }

  async start(): Promise<void> {
    await this.#beat()
    await this.#mayRead()
    this.#loops.push(this.#read(), this.#keepHouse())
  }

  // A user without the right to read tasks learns that now: the loop would try for ever. The worker has none yet.
  async #mayRead(): Promise<void> {
    const { deployment, lane, worker } = this.#options
    const args = ['XREADGROUP', 'GROUP', 'gm', worker, 'COUNT', 1, 'STREAMS', lane.tasks, '0']
    await deployment.command(lane.tasks, args, { signal: this.#stop.signal }).catch((error: unknown) => {
      // A machine that stood still for a lease: the stream is made again by the next sign of life.
      if (!/NOGROUP/.test(String(error))) throw error
    })
  }

  /** Looks for delayed work in so many milliseconds. */
  lookIn(ms: number): void {
    const at = performance.now() + ms
    if (this.#stop.signal.aborted || (this.#dueTimer && this.#dueAt <= at)) return
    clearTimeout(this.#dueTimer)
    this.#dueAt = at
    this.#dueTimer = setTimeout(
      () => {
        this.#dueTimer = undefined
        void this.#due()
      },
      Math.min(ms, longestTimerMs),
    )
  }

  async #read(): Promise<void> {
    const { deployment, lane, worker } = this.#options
    const { signal } = this.#stop
    let connection: BlockingConnection | undefined
    let met = 1
    while (!signal.aborted) {
      try {
        connection ??= await deployment.blocking(lane.tasks)
        const count = await this.#options.wanted()
        if (signal.aborted) break
        const reply = await connection.command(
          ['XREADGROUP', 'GROUP', 'gm', worker, 'COUNT', count, 'BLOCK', blockMs, 'STREAMS', lane.tasks, '>'],
          { signal },
        )
        for (const entry of streamEntriesOf(reply)) this.#options.arrived({ ...entry, lane, deliveries: 1 })
        // Where all executors are busy nobody reads, and the loss of the connection meets no read.
        if (this.#wasCut || connection.connections > met) await this.#takeOwn()
        met = connection.connections
      } catch (error) {
        if (signal.aborted) break
        this.#wasCut = true
        await this.#recover(error)
      }
    }
    await connection?.close()
  }

  // A stream that expired or was rolled back is made again by the next sign of life.
  async #recover(error: unknown): Promise<void> {
    if (!/NOGROUP|UNBLOCKED|no longer exists/.test(String(error))) this.#options.trouble('reading tasks', error)
    await pause(retryMs, this.#stop.signal)
    await this.#beat().catch(() => undefined)
  }

  async #keepHouse(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#renew()
        await this.#take()
        await this.#due()
        await this.#beat()
      } catch (error) {
        if (!signal.aborted) this.#options.trouble('renewing leases', error)
      }
      await pause(this.#options.leaseMs / 3, signal)
    }
  }

  async #renew(): Promise<void> {
    const { deployment, lane, worker } = this.#options
    const entries = this.#options.held()
    for (let i = 0; i < entries.length; i += 100) {
      const some = entries.slice(i, i + 100)
      const reply = await deployment.call('renew', [lane.tasks], [worker, ...some], { signal: this.#stop.signal })
      const kept = new Set(itemsOf(reply).map(textOf))
      const lost = some.filter((entry) => !kept.has(entry))
      if (lost.length > 0) this.#options.lost(lost)
    }
  }

  /** Tasks that the server takes for this worker's, and the worker does not: they would wait for their lease to end. */
  async #takeOwn(): Promise<void> {
    this.#wasCut = false
    await this.#take('own', ...this.#options.held())
  }

  async #take(...which: readonly string[]): Promise<void> {
    const { deployment, lane, worker, leaseMs } = this.#options
    const args = [worker, leaseMs, which.length > 0 ? which.length + takeAtOnce : takeAtOnce, ...which]
    for (const taken of itemsOf(await deployment.call('take', [lane.tasks], args, { signal: this.#stop.signal }))) {
      const [id, deliveries, fields] = itemsOf(taken)
      this.#options.arrived({ id: textOf(id), fields: textMapOf(fields), lane, deliveries: numberOf(deliveries) })
    }
  }

  async #due(): Promise<void> {
    const { deployment, lane } = this.#options
    try {
      const keys = [lane.tasks, lane.delayed, lane.events]
      const next = numberOf(await deployment.call('due', keys, [lane.executions], { signal: this.#stop.signal }))
      if (next >= 0 && next < this.#options.leaseMs) this.lookIn(Math.max(1, next))
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#options.trouble('looking for delayed tasks', error)
    }
  }

  async #beat(): Promise<void> {
    const { deployment, lane, worker, leaseMs, allowScripts } = this.#options
    const { executors, text } = this.#options.describe()
    const args = [worker, executors, leaseMs, text, lane.group, allowScripts ? 1 : 0]
    await deployment.call('beat', [lane.live, lane.tasks, lane.groups], args, { signal: this.#stop.signal })
  }

  /** Stops taking tasks and renewing leases. */
  async close(): Promise<void> {
    this.#stop.abort()
    clearTimeout(this.#dueTimer)
    await Promise.all(this.#loops)
  }

  /** Takes the worker's name off the lane. */
  async leave(): Promise<void> {
    const { deployment, lane, worker } = this.#options
    await deployment.call('leave', [lane.live, lane.tasks, lane.groups], [worker, lane.group])
  }
}
