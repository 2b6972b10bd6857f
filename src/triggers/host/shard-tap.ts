// Follows one primary for all key triggers: finds in its history what they asked for, and appends it to their streams, each
// append together with how far the tap is.
//
// A trigger follows a primary from its mark on: the offset at which it was first seen. Where the history is lost (a server
// that was restarted, a backlog that was overrun) the next event is one `gap` for each trigger that followed; with `rescan`
// every key that matches comes after it. Where the server refuses replicas, notifications take over.
import { pause } from '../../engine/events.ts'
import { ConnectError } from '../../errors.ts'
import type { KeyEventType } from '../../pipeline/readers/events.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { runNotifications } from '../../redis/tap/notifications.ts'
import type { Notice } from '../../redis/tap/subscription.ts'
import { Tap, type TapState, type TappedWrite } from '../../redis/tap/tap.ts'
import type { Address } from '../../redis/url.ts'
import { endsKey, type KeptKeyEvent } from '../sources/keys.ts'
import { Causes } from './causes.ts'
import {
  compileFilter,
  KeyFilters,
  keptEvent,
  type Cause,
  type Followed,
  type KeyFilter,
  type SeenChange,
} from './key-filters.ts'
import { addressOf, replicationOf } from './replication.ts'
import { Rescan } from './rescan.ts'
import { markOf, positionOf, positionText, type Mark, type Share, type TapStore } from './tap-store.ts'

const positionMs = 1000
const retryMs = 500
/** How long a server that refuses replicas is left alone. */
const refusedMs = 30_000
/** Under this key a trigger notes that it follows every primary there was: one that comes later is a gap. */
const everywhere = '*'

export interface ShardTapOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly shard: string
  readonly store: TapStore
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

export class ShardTap {
  readonly #options: ShardTapOptions
  readonly #gone = new AbortController()
  readonly #signal: AbortSignal
  readonly #filters: KeyFilters
  readonly #causes = new Causes()
  readonly #rescan: Rescan
  #wanted: readonly Followed[] = []
  #tap: Tap | undefined
  #started = false
  /** The server refuses replicas. */
  #refused: ConnectError | undefined
  #listening: Promise<void> | undefined
  #heard: readonly Followed[] = []
  /** Position as it is stored. */
  #stored = ''
  #storedAt = -Infinity
  #saidUnknown = false

  constructor(options: ShardTapOptions) {
    this.#options = options
    this.#signal = AbortSignal.any([options.signal, this.#gone.signal])
    this.#filters = new KeyFilters(options.namespace)
    this.#rescan = new Rescan({ ...options, signal: this.#signal })
  }

  /** Runs until its signal aborts. Throws FencedError where another tap follows the primary, and what else ends it. */
  async run(wanted: readonly Followed[]): Promise<void> {
    this.#wanted = wanted
    try {
      await Promise.all([this.#followHistory(), this.#listenIfAsked()])
    } finally {
      this.stop()
      this.#causes.close()
      await Promise.all([this.#listening?.catch(() => undefined), this.#rescan.ended()])
    }
  }

  stop(): void {
    this.#gone.abort()
  }

  /** These are the key triggers now. Resolves when they are followed, or will be with the next connection. */
  async follow(wanted: readonly Followed[]): Promise<void> {
    this.#wanted = wanted
    if (this.#started && this.#refused === undefined) await this.#tap?.hold(() => this.#join())
    // Somebody resumes a trigger: the server may allow it by now. Who listens is not disturbed for it.
    if (this.#listening !== undefined) await this.#refuse()
    else if (this.#refused !== undefined && wanted.some(asksForReplication)) return this.stop()
    await this.#listenIfAsked()
  }

  async #address(): Promise<Address> {
    const { deployment, shard } = this.#options
    const found = (await deployment.refresh()).shards.find(({ id }) => id === shard)
    if (found !== undefined) return addressOf(deployment, found)
    // Another node has its place by now.
    this.stop()
    throw new ConnectError('CONNECT_LOST', `${shard} is no primary any more`)
  }

  // By replication

  async #followHistory(): Promise<void> {
    const { deployment, trouble } = this.#options
    const from = await this.#inherit()
    this.#tap = new Tap({
      url: deployment.url,
      address: () => this.#address(),
      from,
      filter: this.#filters,
      started: (state, gap) => this.#start(state, gap),
      take: (writes, state) => this.#take(writes, state),
      signal: this.#signal,
      trouble,
    })
    try {
      await this.#tap.run()
    } catch (error) {
      if (!(error instanceof ConnectError) || error.code !== 'CONNECT_PERMISSION') throw error
      this.#refused = error
      trouble(`the server refuses replicas; with source 'auto' notifications are used, so events may be lost`, error)
      await this.#refuse()
      await this.#listenIfAsked()
      if (this.#listening === undefined) await pause(refusedMs, this.#signal)
      await this.#listening
    }
  }

  /** Triggers that ask for replication alone have nothing to run on. */
  async #refuse(): Promise<void> {
    if (this.#refused === undefined) return
    for (const each of this.#wanted.filter(asksForReplication)) await this.#options.store.stop(each, this.#refused)
  }

  /** A primary that took another one's place goes on with its history: so do its triggers. */
  async #inherit(): Promise<TapState | undefined> {
    const { deployment, shard, store } = this.#options
    const known = await store.positions()
    this.#stored = known.get(shard) ?? ''
    if (this.#stored !== '') return positionOf(this.#stored)
    const { replid, before } = await replicationOf(deployment, shard)
    for (const [old, text] of known) {
      const position = positionOf(text)
      if (position?.replid !== replid && position?.replid !== before) continue
      const marks = await Promise.all(this.#wanted.map(async ({ name }) => markOf((await store.marks(name)).get(old))))
      const shares = this.#wanted.map((trigger, i) => share(trigger, [], marks[i]))
      await store.append(shard, '', text, shares)
      this.#stored = text
      await store.forget(old)
      return position
    }
    return undefined
  }

  async #start(state: TapState, lost: boolean): Promise<void> {
    const { shard, store, trouble } = this.#options
    const fresh = this.#stored === ''
    if (lost || fresh) {
      // Marks are of the history that is lost.
      const next = this.#wanted.filter((each) => !this.#isHeard(each)).map((each) => ({ ...each, from: 0 }))
      this.#filters.set(next)
      this.#causes.forget()
      if (next.some(asksWhy)) await this.#listenForCauses()
      const shares: Share[] = []
      for (const trigger of next) {
        const marks = await store.marks(trigger.name)
        const missed = marks.has(shard) || marks.has(everywhere)
        if (missed) trouble('the history of a primary is lost', new ConnectError('CONNECT_LOST', `for ${trigger.name}`))
        const rescan = (missed && trigger.description.rescan) || marks.has(`rescan ${shard}`)
        shares.push({ ...share(trigger, missed ? [gapEvent()] : [], trigger), rescan })
      }
      await this.#append(positionText(state), shares)
      await this.#noteEverywhere(shares)
      for (const [i, { rescan }] of shares.entries()) {
        if (rescan === true) this.#rescan.add(compileFilter(next[i] as KeyFilter))
      }
    }
    this.#started = true
    await this.#join()
  }

  /** Takes up triggers that are new, or have another revision. Nothing is read meanwhile. */
  async #join(): Promise<void> {
    const { deployment, shard, store } = this.#options
    const wanted = this.#wanted.filter((each) => !this.#isHeard(each))
    const known = new Map(this.#filters.filters.map((filter) => [filter.name, filter]))
    const next: (Followed & Mark)[] = []
    const shares: Share[] = []
    for (const trigger of wanted) {
      const before = known.get(trigger.name)
      if (before?.created === trigger.created && before.revision === trigger.revision) {
        next.push(before)
        continue
      }
      const marks = await store.marks(trigger.name)
      const mark = markOf(marks.get(shard))
      // What was written up to now is not for it.
      const from = mark?.from ?? (await replicationOf(deployment, shard)).offset
      next.push({ ...trigger, from })
      if (marks.has(`rescan ${shard}`)) this.#rescan.add(compileFilter({ ...trigger, from }))
      if (mark?.revision === trigger.revision) continue
      const missed = mark === undefined && marks.has(everywhere)
      const joined = share(trigger, missed ? [gapEvent()] : [], { from, revision: trigger.revision })
      shares.push({ ...joined, rescan: missed && trigger.description.rescan })
    }
    this.#filters.set(next)
    if (next.some(asksWhy)) await this.#listenForCauses()
    if (shares.length > 0) {
      await store.append(shard, '', undefined, shares)
      await this.#noteEverywhere(shares)
    }
  }

  /** Marks triggers that follow all primaries that there are. */
  async #noteEverywhere(shares: readonly Share[]): Promise<void> {
    const { deployment, store } = this.#options
    for (const { trigger, mark } of shares) {
      const marks = await store.marks(trigger.name)
      const all = deployment.topology.shards.every(({ id }) => marks.has(id))
      if (!all || marks.has(everywhere) || mark === undefined) continue
      await store.append(everywhere, '', undefined, [{ trigger, events: [], mark }])
    }
  }

  async #listenForCauses(): Promise<void> {
    const { deployment, shard, trouble } = this.#options
    const signal = this.#signal
    const wants = (key: string): boolean => this.#filters.mayWant(key)
    try {
      await this.#causes.listen(deployment, shard, await this.#address(), wants, signal)
    } catch (error) {
      if (!signal.aborted && !this.#saidUnknown) trouble('it will not be known of every key why it went', error)
      this.#saidUnknown = true
    }
  }

  async #take(writes: readonly TappedWrite[], state: TapState): Promise<void> {
    if (this.#causes.isLost) await this.#listenForCauses()
    const changes = writes.flatMap((write) => this.#filters.seenIn(write))
    const causes = changes.some(({ change }) => change.event === 'del' || change.deadline !== undefined)
      ? await this.#causes.of(changes)
      : []
    const shares = this.#sharesOf(changes, causes)
    const now = performance.now()
    // What Gearmill itself writes moves nothing: the note of a position is a write, too.
    if (shares.length === 0 && (!this.#filters.foreign || now - this.#storedAt < positionMs)) return
    this.#filters.foreign = false
    this.#storedAt = now
    const text = positionText(state)
    if (text !== this.#stored) await this.#append(text, shares)
  }

  #sharesOf(changes: readonly SeenChange[], causes: readonly Cause[]): Share[] {
    const byTrigger = new Map<string, { trigger: Followed; events: KeptKeyEvent[] }>()
    for (const [i, seen] of changes.entries()) {
      for (const filter of seen.filters) {
        const event = keptEvent(seen, filter, causes[i])
        if (event === undefined) continue
        const one = byTrigger.get(filter.name)
        if (one === undefined) byTrigger.set(filter.name, { trigger: filter, events: [event] })
        else one.events.push(event)
      }
    }
    return [...byTrigger.values()].map(({ trigger, events }) => share(trigger, events))
  }

  /** Tries for as long as the server has no room: what is known of these changes is known only here. */
  async #append(text: string, shares: readonly Share[]): Promise<void> {
    const { shard, store, trouble } = this.#options
    for (;;) {
      try {
        await store.append(shard, this.#stored, text, shares)
        this.#stored = text
        return
      } catch (error) {
        if (!/^OOM|\bOOM /.test(error instanceof Error ? error.message : '') || this.#signal.aborted) throw error
        trouble('keeping events', error)
        await pause(retryMs, this.#signal)
      }
    }
  }

  // By notifications

  #isHeard({ description: { source } }: Followed): boolean {
    return source === 'notifications' || (this.#refused !== undefined && source === 'auto')
  }

  async #listenIfAsked(): Promise<void> {
    const heard = this.#wanted.filter((each) => this.#isHeard(each))
    if (this.#listening !== undefined) {
      await this.#hear(heard)
      return
    }
    if (heard.length === 0) return
    const { deployment, trouble, shard } = this.#options
    // Where the server does not allow it, its own setting decides.
    await deployment.onShard(shard, ['CONFIG', 'SET', 'notify-keyspace-events', 'AKE']).catch(() => undefined)
    this.#listening = runNotifications({
      url: deployment.url,
      address: () => this.#address(),
      signal: this.#signal,
      trouble,
      started: async (lost) => {
        await this.#hear(this.#wanted.filter((each) => this.#isHeard(each)))
        if (lost) await this.#tellLost()
      },
      take: (notices) => this.#takeNotices(notices),
    })
    // Its end is that of the whole tap.
    this.#listening.catch((error: unknown) => {
      trouble('listening to notifications', error)
      this.stop()
    })
  }

  async #hear(heard: readonly Followed[]): Promise<void> {
    const known = new Set(this.#heard.map(identity))
    const shares = heard.filter((each) => !known.has(identity(each))).map((each) => share(each, [], markOfHeard(each)))
    this.#heard = heard
    if (shares.length > 0) await this.#options.store.append(this.#options.shard, '', undefined, shares)
  }

  async #tellLost(): Promise<void> {
    const { shard, store } = this.#options
    const shares = this.#heard.map((each): Share => ({ ...share(each, [gapEvent()]), rescan: each.description.rescan }))
    await store.append(shard, '', undefined, shares)
    for (const each of this.#heard) if (each.description.rescan) this.#rescan.add(compileFilter({ ...each, from: 0 }))
  }

  async #takeNotices(notices: readonly Notice[]): Promise<void> {
    const { shard, store } = this.#options
    const shares: Share[] = []
    for (const filter of this.#heard.map((each) => compileFilter({ ...each, from: 0 }))) {
      const { events, db, types } = filter.description
      const found: KeptKeyEvent[] = []
      for (const { database, event, key } of notices) {
        if (this.#filters.isOwn(key) || !filter.matches(key)) continue
        if ((events !== undefined && !events.includes(event)) || (db !== undefined && db !== database)) continue
        const type = typeOf(event)
        if (types !== undefined && type !== 'unknown' && !types.includes(type)) continue
        found.push([key, event, type, database, Date.now(), [], !endsKey(event)])
      }
      if (found.length > 0) shares.push(share(filter, found))
    }
    if (shares.length > 0) await store.append(shard, '', undefined, shares)
  }
}

function share(trigger: Followed, events: readonly KeptKeyEvent[], mark?: Mark): Share {
  return { trigger, events, ...(mark === undefined ? {} : { mark }) }
}

function identity({ name, created, revision }: Followed): string {
  return `${name} ${created} ${revision}`
}

function markOfHeard({ revision }: Followed): Mark {
  return { from: 0, revision }
}

function asksForReplication({ state, description: { source } }: Followed): boolean {
  return state === 'running' && source === 'replication'
}

/** Whether it matters to a trigger why a key went. */
function asksWhy({ description: { events } }: Followed): boolean {
  return events === undefined || ['del', 'expired', 'evicted'].some((event) => events.includes(event))
}

function gapEvent(): KeptKeyEvent {
  return ['', 'gap', 'none', 0, Date.now(), [], false]
}

/** By their first letter, as Redis names its commands; others are looked up. */
function typeOf(event: string): KeyEventType {
  if (event.startsWith('h')) return 'hash'
  if (event.startsWith('z')) return 'zset'
  if (event === 'set' || event === 'append' || event.startsWith('incr') || event.startsWith('decr')) return 'string'
  return 'unknown'
}
