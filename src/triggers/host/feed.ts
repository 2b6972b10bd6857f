// Reads the streams of one slot (without a cluster: all streams) for a seat: first what the seat's consumer has pending from
// before, then new entries as they come. Hands out batches; reads one batch ahead of what is taken.
import { pause } from '../../engine/events.ts'
import type { BlockingConnection, Deployment, Reply } from '../../redis/deployment.ts'
import { itemsOf, pairsOf, textOf } from '../../redis/replies.ts'

const blockMs = 500
const retryMs = 200

export interface RawEntry {
  readonly id: string
  readonly fields: readonly Reply[]
}

export interface RawBatch {
  readonly stream: string
  readonly entries: readonly RawEntry[]
}

export interface FeedOptions {
  readonly deployment: Deployment
  readonly group: string
  readonly consumer: string
  readonly batch: number
  readonly maxWaitMs: number
  readonly binary: boolean
  readonly signal: AbortSignal
  /** Resolves when the batch was taken. */
  readonly give: (batch: RawBatch) => Promise<void>
  /** A stream or its group is gone: opens it again, or takes it off the feed. */
  readonly reopen: (streams: readonly string[]) => Promise<void>
  readonly trouble: (what: string, error: unknown) => void
}

interface Open {
  /** Last pending entry that was read; undefined: all were. */
  history: string | undefined
  waiting: RawEntry[]
  /** When what is waiting goes, in performance time. */
  due: number
}

export class Feed {
  readonly #options: FeedOptions
  readonly #streams = new Map<string, Open>()
  #loop: Promise<void> | undefined
  #given: Promise<void> = Promise.resolve()

  constructor(options: FeedOptions) {
    this.#options = options
  }

  has(stream: string): boolean {
    return this.#streams.has(stream)
  }

  names(): string[] {
    return [...this.#streams.keys()]
  }

  /** Adds a stream that is open; what its consumer has pending comes first. */
  add(stream: string): void {
    this.#streams.set(stream, { history: '0', waiting: [], due: 0 })
    this.#loop ??= this.#run(stream)
  }

  remove(stream: string): void {
    this.#streams.delete(stream)
  }

  async #run(first: string): Promise<void> {
    const { deployment, signal } = this.#options
    let connection: BlockingConnection | undefined
    while (!signal.aborted) {
      try {
        connection ??= await deployment.blocking(first)
        if (this.#streams.size === 0) await pause(retryMs, signal)
        else await this.#step(connection)
      } catch (error) {
        if (signal.aborted) break
        await this.#recover(error)
      }
    }
    await connection?.close()
  }

  async #recover(error: unknown): Promise<void> {
    const { reopen, signal, trouble } = this.#options
    const text = String(error)
    if (!/NOGROUP|WRONGTYPE|UNBLOCKED|no longer exists/.test(text)) trouble('reading events', error)
    await pause(retryMs, signal)
    if (signal.aborted) return
    // Whatever happened in between: what is pending is read again before anything new.
    for (const open of this.#streams.values()) {
      open.history = '0'
      open.waiting = []
    }
    await this.#given
    await reopen([...this.#streams.keys()]).catch((again: unknown) => trouble('opening streams', again))
  }

  async #step(connection: BlockingConnection): Promise<void> {
    for (const [stream, open] of this.#streams) {
      if (open.history !== undefined) await this.#readHistory(connection, stream, open)
    }
    const { group, consumer, batch, signal, binary } = this.#options
    const streams = [...this.#streams.keys()]
    if (streams.length === 0) return
    const now = performance.now()
    const due = Math.min(...[...this.#streams.values()].map((open) => (open.waiting.length > 0 ? open.due : Infinity)))
    const block = Math.max(1, Math.min(blockMs, Math.ceil(due - now)))
    const reply = await connection.command(
      [
        'XREADGROUP',
        'GROUP',
        group,
        consumer,
        'COUNT',
        batch,
        'BLOCK',
        block,
        'STREAMS',
        ...streams,
        ...streams.map(() => '>'),
      ],
      { signal, binary },
    )
    for (const [key, entries] of pairsOf(reply)) {
      const open = this.#streams.get(textOf(key))
      if (open === undefined) continue
      if (open.waiting.length === 0) open.due = performance.now() + this.#options.maxWaitMs
      for (const entry of itemsOf(entries)) open.waiting.push(entryOf(entry))
    }
    for (const [stream, open] of this.#streams) await this.#giveDue(stream, open)
  }

  async #giveDue(stream: string, open: Open): Promise<void> {
    const { batch, maxWaitMs } = this.#options
    while (open.waiting.length >= batch) await this.#give({ stream, entries: open.waiting.splice(0, batch) })
    if (open.waiting.length === 0) return
    if (maxWaitMs === 0 || performance.now() >= open.due) await this.#give({ stream, entries: open.waiting.splice(0) })
  }

  async #readHistory(connection: BlockingConnection, stream: string, open: Open): Promise<void> {
    const { group, consumer, batch, signal, binary, deployment } = this.#options
    while (open.history !== undefined && !signal.aborted) {
      const reply = await connection.command(
        ['XREADGROUP', 'GROUP', group, consumer, 'COUNT', batch, 'STREAMS', stream, open.history],
        { signal, binary },
      )
      const found = itemsOf(pairsOf(reply)[0]?.[1])
      // Entries that were deleted while they were pending have nothing to process.
      const gone = found.filter((entry) => !Array.isArray(itemsOf(entry)[1])).map((entry) => textOf(itemsOf(entry)[0]))
      if (gone.length > 0) await deployment.command(stream, ['XACK', stream, group, ...gone])
      const entries = found.filter((entry) => Array.isArray(itemsOf(entry)[1])).map(entryOf)
      open.history = found.length === 0 ? undefined : textOf(itemsOf(found.at(-1))[0])
      if (entries.length > 0) await this.#give({ stream, entries })
    }
  }

  /** One batch waits to be taken while the next one is read. */
  async #give(batch: RawBatch): Promise<void> {
    await this.#given
    if (!this.#options.signal.aborted) this.#given = this.#options.give(batch)
  }

  /** Ends with its signal. */
  async ended(): Promise<void> {
    await this.#loop
  }
}

function entryOf(reply: Reply): RawEntry {
  const [id, fields] = reply as [Reply, readonly Reply[]]
  return { id: textOf(id), fields }
}
