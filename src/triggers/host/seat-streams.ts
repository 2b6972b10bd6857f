// The streams of a seat: finds those of its pattern, opens each with the seat's fence, and reads them; and the homes in which
// state about their events lies.
import { PlanError } from '../../errors.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { slotOf } from '../../redis/slots.ts'
import { groupOf, homeKeys, homeTag, type HomeKeys, type TriggerKeys } from '../keys.ts'
import type { TriggerOptions } from '../options.ts'
import type { SeatOrder } from '../protocol.ts'
import type { EventSource } from '../sources/source.ts'
import { FencedError } from './committer.ts'
import { Feed, type RawBatch } from './feed.ts'
import { findStreams } from './streams.ts'

export interface SeatStreamsOptions {
  readonly order: SeatOrder
  readonly namespace: string
  readonly keys: TriggerKeys
  readonly deployment: Deployment
  readonly trigger: TriggerOptions
  readonly source: EventSource
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
  /** Takes a batch; resolves when there is room for the next one. */
  readonly give: (batch: RawBatch) => Promise<void>
  /** Resolves when nothing that was read waits for its commit. */
  readonly settled: () => Promise<void>
  /** The trigger is another one now, or gone. */
  readonly fenced: (error: FencedError) => void
}

export class SeatStreams {
  readonly #options: SeatStreamsOptions
  readonly #feeds = new Map<string, Feed>()
  readonly #homes = new Map<string, HomeKeys>()

  constructor(options: SeatStreamsOptions) {
    this.#options = options
  }

  /** The field of a home's fences that guards a stream. */
  fenceField(stream: string): string {
    return this.#options.trigger.ordered ? stream : `${this.#options.order.seat}|${stream}`
  }

  /** Opens the streams that there are and that this seat does not read yet. Throws FencedError, PLAN_KEY_TYPE. */
  async open(): Promise<void> {
    const { source, deployment, namespace, signal } = this.#options
    const { streams } = source
    const found = 'key' in streams ? [streams.key] : await findStreams(deployment, streams.pattern, namespace)
    for (const stream of found) {
      if (signal.aborted) return
      if (!this.#owns(stream) || this.#feeds.get(this.#feedName(stream))?.has(stream)) continue
      if (await this.attach(stream)) this.#addFeed(stream)
    }
  }

  #owns(stream: string): boolean {
    const { trigger, order } = this.#options
    return !trigger.ordered || trigger.concurrency === 1 || slotOf(stream) % trigger.concurrency === order.seat
  }

  // A read of several streams is of one slot.
  #feedName(stream: string): string {
    return this.#options.deployment.topology.cluster ? String(slotOf(stream)) : ''
  }

  #addFeed(stream: string): void {
    const { deployment, trigger, source, trouble, namespace, order, signal, give, settled, fenced } = this.#options
    const name = this.#feedName(stream)
    let feed = this.#feeds.get(name)
    if (feed === undefined) {
      feed = new Feed({
        deployment,
        group: groupOf(namespace, order.name),
        consumer: `s${order.seat}`,
        batch: trigger.batch,
        maxWaitMs: trigger.maxWaitMs,
        binary: source.binary,
        signal,
        trouble,
        give,
        reopen: async (streams) => {
          await settled()
          try {
            for (const each of streams) if (!(await this.attach(each))) feed?.remove(each)
          } catch (error) {
            if (!(error instanceof FencedError)) throw error
            fenced(error)
          }
        },
      })
      this.#feeds.set(name, feed)
    }
    feed.add(stream)
  }

  /** Opens a stream for this seat; false where there is none, or it is another one's. */
  async attach(stream: string): Promise<boolean> {
    const { deployment, trigger, order, source, namespace, keys } = this.#options
    // Where everything was flushed, nothing of it is made again.
    const key = keys.trigger(order.name)
    if (textOf(await deployment.command(key, ['HGET', key, 'rev'])) !== order.revision) throw new FencedError()
    const home = this.homeOf(stream)
    const makes = 'key' in source.streams
    if (!this.#homes.has(home.tag)) {
      const homes = keys.homes(order.name)
      await deployment.command(homes, ['SADD', homes, home.tag])
      this.#homes.set(home.tag, home)
    }
    const from = trigger.from === 'start' || trigger.from === 'new' ? '0' : trigger.from
    const group = groupOf(namespace, order.name)
    for (;;) {
      const reply = itemsOf(
        await deployment.call(
          'trigger_attach',
          [stream, home.fences],
          [
            ...[group, `s${order.seat}`, order.fence, this.fenceField(stream), from, makes ? '1' : '0'],
            trigger.ordered ? 0 : trigger.concurrency,
          ],
        ),
      )
      const status = numberOf(reply[0])
      if (status === 0) throw new FencedError()
      if (status === -2) {
        const kind = textOf(reply[1])
        if (!makes) return false
        throw new PlanError('PLAN_KEY_TYPE', `${JSON.stringify(stream)} is a ${kind}, not a stream`)
      }
      if (status < 0) return false
      if (numberOf(reply[1]) === 0) return true
    }
  }

  /** Where state about the events of a stream lies. */
  homeOf(stream: string): HomeKeys {
    const { deployment, namespace, order } = this.#options
    const tag = homeTag(deployment, stream)
    return this.#homes.get(tag) ?? homeKeys(namespace, order.name, tag)
  }

  /** Reads which homes the trigger has: others may have opened more. */
  async homes(): Promise<readonly HomeKeys[]> {
    const { deployment, keys, order, namespace } = this.#options
    const homes = keys.homes(order.name)
    for (const tag of itemsOf(await deployment.command(homes, ['SMEMBERS', homes])).map(textOf)) {
      if (!this.#homes.has(tag)) this.#homes.set(tag, homeKeys(namespace, order.name, tag))
    }
    return [...this.#homes.values()]
  }

  /** The streams that are read. */
  *names(): Generator<string> {
    for (const feed of this.#feeds.values()) yield* feed.names()
  }

  /** Resolves when nothing is read any more: after the signal. */
  async ended(): Promise<void> {
    await Promise.all([...this.#feeds.values()].map((feed) => feed.ended()))
  }
}
