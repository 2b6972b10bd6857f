// Ends of executions, as they happen: one blocking reader per lane and process on the group's events streams. A message may
// be lost (a restart, a failover); who waits for an end reads the state again after `onGap`.
import type { Deployment } from '../redis/deployment.ts'
import { streamEntriesOf, streamEntryOf, itemsOf } from '../redis/replies.ts'
import type { LaneKeys } from './keys.ts'

export interface ExecutionEvent {
  readonly lane: LaneKeys
  readonly execution: string
  readonly state: string
  /** For `waiting`: starts after so many milliseconds. */
  readonly delayMs: number
}

const blockMs = 5000
const retryMs = 200

export class GroupEvents {
  readonly #deployment: Deployment
  readonly #listeners = new Set<(event: ExecutionEvent) => void>()
  readonly #gapListeners = new Set<() => void>()
  readonly #lanes = new Set<string>()
  readonly #stop = new AbortController()
  readonly #loops = new Set<Promise<void>>()

  constructor(deployment: Deployment) {
    this.#deployment = deployment
  }

  /** Starts reading a lane; resolves when nothing that happens from now on is missed. */
  async follow(lane: LaneKeys): Promise<void> {
    if (this.#lanes.has(lane.tag)) return
    this.#lanes.add(lane.tag)
    const from = await this.#lastId(lane)
    const loop = this.#read(lane, from)
    this.#loops.add(loop)
    void loop.finally(() => this.#loops.delete(loop))
  }

  on(listener: (event: ExecutionEvent) => void): () => void {
    this.#listeners.add(listener)
    return () => this.#listeners.delete(listener)
  }

  /** Called when events may have been missed. */
  onGap(listener: () => void): () => void {
    this.#gapListeners.add(listener)
    return () => this.#gapListeners.delete(listener)
  }

  async #lastId(lane: LaneKeys): Promise<string> {
    const reply = await this.#deployment.command(lane.events, ['XREVRANGE', lane.events, '+', '-', 'COUNT', 1])
    // As the loop will: a user without the right to do so learns that now.
    await this.#deployment.command(lane.events, ['XREAD', 'COUNT', 1, 'STREAMS', lane.events, '$'])
    const entry = itemsOf(reply)[0]
    return entry === undefined ? '0-0' : streamEntryOf(entry).id
  }

  async #read(lane: LaneKeys, from: string): Promise<void> {
    const { signal } = this.#stop
    let last = from
    const connection = await this.#deployment.blocking(lane.events)
    while (!signal.aborted) {
      try {
        const reply = await connection.command(
          ['XREAD', 'COUNT', 100, 'BLOCK', blockMs, 'STREAMS', lane.events, last],
          { signal },
        )
        for (const { id, fields } of streamEntriesOf(reply)) {
          last = id
          this.#tell({
            lane,
            execution: fields.get('x') ?? '',
            state: fields.get('state') ?? '',
            delayMs: Number(fields.get('delay') ?? 0),
          })
        }
      } catch {
        if (signal.aborted) break
        await pause(retryMs, signal)
        for (const listener of this.#gapListeners) listener()
      }
    }
    await connection.close()
  }

  #tell(event: ExecutionEvent): void {
    for (const listener of this.#listeners) listener(event)
  }

  async close(): Promise<void> {
    this.#stop.abort()
    await Promise.all(this.#loops)
  }
}

/** Waits, or less long where the signal aborts; never rejects. */
export function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve()
    const done = (): void => {
      clearTimeout(timer)
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, ms)
    signal.addEventListener('abort', done)
  })
}
