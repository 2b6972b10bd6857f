// Why keys go. Expirations and evictions reach replicas as deletions; which it was is known from the key's time to live,
// where the tap saw it being set, or from the server's notifications, where it gives them.
//
// The server publishes before it replicates: whoever asks the subscription to settle after a deletion has come has what was
// published about it.
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, textMapOf, textOf } from '../../redis/replies.ts'
import { Subscription, type Notice } from '../../redis/tap/subscription.ts'
import type { Address } from '../../redis/url.ts'
import { replicationOf } from './replication.ts'
import type { Cause, SeenChange } from './key-filters.ts'

/** Deadlines and notices that are remembered. */
const most = 1_000_000
const retryMs = 1000

export class Causes {
  readonly #deadlines = new Map<string, number>()
  readonly #notices = new Map<string, string[]>()
  #subscription: Subscription | undefined
  /** Deletions behind this offset were listened for. */
  #since = Infinity
  #opening = false
  #triedAt = -Infinity

  /** Somebody listened, and does not any more. */
  get isLost(): boolean {
    const over = this.#subscription?.failure !== undefined && !this.#opening
    return over && performance.now() - this.#triedAt > retryMs
  }

  /** Listens to the server, if it can be had to notify. What came before stays unknown. */
  async listen(
    deployment: Deployment,
    shard: string,
    address: Address,
    wants: (key: string) => boolean,
    signal: AbortSignal,
  ): Promise<void> {
    if (this.#opening || (this.#subscription !== undefined && this.#subscription.failure === undefined)) return
    this.#opening = true
    this.#triedAt = performance.now()
    this.#since = Infinity
    this.#notices.clear()
    try {
      await askToNotify(deployment, shard)
      this.#subscription = await Subscription.open({
        url: deployment.url,
        address,
        events: ['expired', 'evicted'],
        signal,
        notices: (notices) => this.#hear(notices.filter(({ key }) => wants(key))),
      })
      this.#since = (await replicationOf(deployment, shard)).offset
    } finally {
      this.#opening = false
    }
  }

  #hear(notices: readonly Notice[]): void {
    for (const { database, event, key } of notices) {
      const id = `${database} ${key}`
      const waiting = this.#notices.get(id)
      if (waiting !== undefined) waiting.push(event)
      else this.#notices.set(id, [event])
    }
    while (this.#notices.size > most) this.#notices.delete(this.#notices.keys().next().value as string)
  }

  close(): void {
    this.#subscription?.close()
  }

  /** What was remembered belongs to a history that is lost. */
  forget(): void {
    this.#deadlines.clear()
    this.#notices.clear()
    this.close()
  }

  /** Of changes in their order: why each key went, if it did. */
  async of(changes: readonly SeenChange[]): Promise<Cause[]> {
    const open = changes.some((change) => isOpen(change) && change.offset > this.#since)
    // Where it is over, the rest tells what it can.
    const settled = open && (await this.#settle())
    return changes.map((change) => this.#causeOf(change, settled))
  }

  async #settle(): Promise<boolean> {
    try {
      await this.#subscription?.settle()
      return true
    } catch {
      this.#since = Infinity
      return false
    }
  }

  #causeOf(seen: SeenChange, settled: boolean): Cause {
    const { change, key, database, offset } = seen
    const { event, deadline } = change
    const id = `${database} ${key}`
    const known = this.#deadlines.get(id)
    if (deadline === null) this.#deadlines.delete(id)
    else if (deadline !== undefined && (this.#deadlines.size < most || known !== undefined)) {
      this.#deadlines.set(id, deadline)
    }
    if (event !== 'del' || !isOpen(seen)) return event === 'del' ? 'del' : undefined
    if (settled && offset > this.#since) {
      const waiting = this.#notices.get(id)
      const cause = waiting?.shift()
      if (waiting?.length === 0) this.#notices.delete(id)
      return cause === 'expired' || cause === 'evicted' ? cause : 'del'
    }
    return known !== undefined && known <= Date.now() ? 'expired' : undefined
  }
}

/** The server's own deletions name one key; so do many of clients. */
function isOpen({ change, command }: SeenChange): boolean {
  return change.event === 'del' && command.length === 2 && /^(del|unlink)$/i.test((command[0] as Buffer).toString())
}

/** Expired and evicted keys are to be published; what is published already stays. */
async function askToNotify(deployment: Deployment, shard: string): Promise<void> {
  const name = 'notify-keyspace-events'
  const reply = await deployment.onShard(shard, ['CONFIG', 'GET', name])
  const flags = (Array.isArray(reply) ? textOf(itemsOf(reply)[1]) : textMapOf(reply).get(name)) ?? ''
  const all = flags.includes('A')
  const missing = ['E', 'x', 'e'].filter((flag) => !flags.includes(flag) && !(all && flag !== 'E'))
  if (missing.length > 0) await deployment.onShard(shard, ['CONFIG', 'SET', name, flags + missing.join('')])
}
