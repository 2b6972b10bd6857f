// The tap of a key trigger's seat: follows every primary, picks the changes that the trigger asked for, and appends them to
// its stream, each entry together with how far the tap is in the primary's history.
//
// Where the history is lost (a server that was restarted, a backlog that was overrun) the next events begin with one `gap`;
// with `rescan` every key that matches follows. Where the server refuses replicas, notifications take over.
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError } from '../../errors.ts'
import type { KeyEventType } from '../../pipeline/readers/events.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textMapOf, textOf } from '../../redis/replies.ts'
import { runNotifications } from '../../redis/tap/notifications.ts'
import { runTap, type TapState, type TappedWrite } from '../../redis/tap/tap.ts'
import { parseUrl, type Address } from '../../redis/url.ts'
import { changesOf, type Change } from '../sources/changes.ts'
import { matcherOf } from '../sources/glob.ts'
import { endsKey, type KeptKeyEvent } from '../sources/keys.ts'
import type { SourceDescription } from '../sources/source.ts'
import { FencedError } from './committer.ts'
import { packPlain } from './event-batch.ts'

const topologyMs = 2000
const positionMs = 1000
const eventsPerEntry = 100
const bytesPerEntry = 64 * 1024
const scanCount = 500
/** Deadlines that are remembered, to tell expirations from deletions. */
const mostDeadlines = 1_000_000

export type KeysDescription = Extract<SourceDescription, { readonly kind: 'keys' }>

export interface KeyTapOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly name: string
  readonly description: KeysDescription
  readonly stream: string
  /** Hash: how far the tap is, by primary. */
  readonly positions: string
  readonly fence: { readonly key: string; readonly field: string; readonly value: string }
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

export function positionText({ replid, offset, database }: TapState): string {
  return `${replid} ${offset} ${database}`
}

function positionOf(text: string): TapState | undefined {
  const [replid, offset, database] = text.split(' ')
  return replid && offset ? { replid, offset: Number(offset), database: Number(database) } : undefined
}

export class KeyTap {
  readonly #options: KeyTapOptions
  readonly #matches: (key: string) => boolean
  /** What every key that matches begins with. */
  readonly #prefix: Buffer
  readonly #own: RegExp
  readonly #ownPrefix: string
  readonly #taps = new Map<string, Promise<void>>()
  readonly #deadlines = new Map<string, number>()
  #failed: unknown

  constructor(options: KeyTapOptions) {
    this.#options = options
    const { description, namespace, name } = options
    this.#matches = matcherOf(description.pattern)
    this.#prefix = Buffer.from(/^[^*?[\\]*/.exec(description.pattern)?.[0] ?? '')
    this.#ownPrefix = `${namespace}:{`
    const escaped = `${namespace}:{X}:trigger:${name}:`.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&')
    this.#own = new RegExp(`^${escaped.replace('X', '[^}]+')}`)
  }

  /** Runs until its signal aborts. Throws FencedError. */
  async run(): Promise<void> {
    const { signal, deployment, trouble } = this.#options
    while (!signal.aborted && this.#failed === undefined) {
      try {
        const { shards } = await deployment.refresh()
        for (const { id } of shards) {
          if (this.#taps.has(id)) continue
          this.#taps.set(
            id,
            this.#follow(id)
              .catch((error: unknown) => {
                if (error instanceof FencedError) this.#failed = error
                else if (!signal.aborted) trouble('following keys', error)
              })
              .finally(() => this.#taps.delete(id)),
          )
        }
      } catch (error) {
        if (!signal.aborted) trouble('following keys', error)
      }
      await delay(topologyMs, undefined, { signal }).catch(() => undefined)
    }
    await Promise.all(this.#taps.values())
    if (this.#failed instanceof FencedError) throw this.#failed
  }

  async #follow(shard: string): Promise<void> {
    const { deployment, description, signal, trouble } = this.#options
    const gone = new AbortController()
    const both = AbortSignal.any([signal, gone.signal])
    const address = async (): Promise<Address> => {
      const found = (await deployment.refresh()).shards.find(({ id }) => id === shard)
      if (found !== undefined) return addressOf(deployment, found)
      // Another node has its place by now.
      gone.abort()
      throw new ConnectError('CONNECT_LOST', `${shard} is no primary any more`)
    }
    if (description.source !== 'notifications') {
      try {
        await this.#tap(shard, address, both)
        return
      } catch (error) {
        const refused = error instanceof ConnectError && error.code === 'CONNECT_PERMISSION'
        if (!refused || description.source === 'replication') throw error
        trouble('the server refuses replicas, so events may be lost (notifications are used instead)', error)
      }
    }
    await this.#listen(shard, address, both)
  }

  async #tap(shard: string, address: () => Promise<Address>, signal: AbortSignal): Promise<void> {
    const { deployment, trouble } = this.#options
    const from = await this.#position(shard)
    let storedAt = -Infinity
    let foreign = true
    await runTap({
      url: deployment.url,
      address,
      from,
      signal,
      trouble,
      take: async (writes, state, gap) => {
        const events: KeptKeyEvent[] = []
        for (const write of writes) {
          const found = this.#eventsOf(write)
          if (found.length > 0) events.push(...found)
        }
        const now = performance.now()
        foreign ||= writes.some(({ commands }) => commands.some((command) => !this.#isGearmills(command[1])))
        // What Gearmill itself writes moves nothing: the note of a position is a write, too.
        if (events.length === 0 && !gap && (!foreign || now - storedAt < positionMs)) return
        storedAt = now
        foreign = false
        await this.#append(shard, gap ? [gapEvent(), ...events] : events, positionText(state))
        if (gap) await this.#afterGap(shard)
      },
    })
  }

  /** A primary that took another one's place goes on with its history. */
  async #position(shard: string): Promise<TapState | undefined> {
    const { deployment, positions } = this.#options
    const known = textMapOf(await deployment.command(positions, ['HGETALL', positions]))
    const own = known.get(shard)
    if (own !== undefined) return positionOf(own)
    const { replid, before } = await replicationOf(deployment, shard)
    for (const text of known.values()) {
      const position = positionOf(text)
      if (position?.replid === replid || position?.replid === before) return position
    }
    return undefined
  }

  async #afterGap(shard: string): Promise<void> {
    const { description, trouble, name } = this.#options
    const what = description.rescan ? 'the keys are read again' : 'what happened in between is not known'
    trouble(`the history of a primary is lost (${what})`, new ConnectError('CONNECT_LOST', `trigger ${name}, ${shard}`))
    this.#deadlines.clear()
    if (description.rescan) await this.#rescan(shard)
  }

  async #rescan(shard: string): Promise<void> {
    const { deployment, description, signal } = this.#options
    const database = parseUrl(deployment.url).database
    let cursor = '0'
    do {
      const scan = ['SCAN', cursor, 'MATCH', description.pattern, 'COUNT', scanCount]
      const [next, keys] = itemsOf(await deployment.onShard(shard, scan))
      cursor = textOf(next)
      const at = Date.now()
      const found = itemsOf(keys)
        .map(textOf)
        .filter((key) => !key.startsWith(this.#ownPrefix))
      const events = found.map((key): KeptKeyEvent => [key, 'rescan', 'unknown', database, at, [], true])
      if (events.length > 0) await this.#append(shard, events, '')
    } while (cursor !== '0' && !signal.aborted)
  }

  #eventsOf({ database, commands }: TappedWrite): KeptKeyEvent[] {
    const { db, includeOwn } = this.#options.description
    if (db !== undefined && db !== database) return none
    if (!commands.some((command) => this.#mayMatch(command))) return none
    // A commit of this trigger changes its counters in the same transaction.
    if (!includeOwn && commands.length > 1 && commands.some((command) => this.#isOwn(command[1]))) return none
    const events: KeptKeyEvent[] = []
    for (const command of commands) {
      if (!this.#mayMatch(command)) continue
      for (const change of changesOf(command)) {
        const event = this.#eventOf(change, command, database)
        if (event !== undefined) events.push(event)
      }
    }
    return events
  }

  /** Most writes are of other keys: no argument begins as the pattern does. */
  #mayMatch(command: readonly Buffer[]): boolean {
    const prefix = this.#prefix
    if (prefix.length === 0 || command.length < 2) return true
    for (let i = 1; i < command.length; i++) if (startsWith(command[i] as Buffer, prefix)) return true
    return false
  }

  #isGearmills(key: Buffer | undefined): boolean {
    return key?.toString('latin1', 0, this.#ownPrefix.length) === this.#ownPrefix
  }

  #isOwn(key: Buffer | undefined): boolean {
    return key !== undefined && this.#own.test(key.toString('latin1'))
  }

  #eventOf(change: Change, command: readonly Buffer[], database: number): KeptKeyEvent | undefined {
    const key = change.key.toString()
    if (key !== '' && (!this.#matches(key) || key.startsWith(this.#ownPrefix))) return undefined
    const name = this.#nameOf(change, key, database)
    const { events, types } = this.#options.description
    if (events !== undefined && !events.includes(name)) return undefined
    if (types !== undefined && change.type !== 'unknown' && !types.includes(change.type)) return undefined
    const { value, type } = change
    const late = value === undefined && !endsKey(name)
    const base = [key, name, type, database, Date.now(), command.map((arg) => arg.toString()), late] as const
    return value === undefined ? base : [...base, value.toString()]
  }

  /** Expirations reach replicas as deletions: of keys whose time was over. */
  #nameOf({ event, deadline }: Change, key: string, database: number): string {
    const id = `${database} ${key}`
    const known = this.#deadlines.get(id)
    if (deadline === null) this.#deadlines.delete(id)
    else if (deadline !== undefined && (this.#deadlines.size < mostDeadlines || known !== undefined)) {
      this.#deadlines.set(id, deadline)
    }
    return event === 'del' && known !== undefined && known <= Date.now() ? 'expired' : event
  }

  async #listen(shard: string, address: () => Promise<Address>, signal: AbortSignal): Promise<void> {
    const { deployment, description, trouble } = this.#options
    await runNotifications({
      url: deployment.url,
      address,
      signal,
      trouble,
      take: async (notices, lost) => {
        const events: KeptKeyEvent[] = lost ? [gapEvent()] : []
        for (const { database, event, key } of notices) {
          if (!this.#matches(key) || key.startsWith(this.#ownPrefix)) continue
          if (description.events !== undefined && !description.events.includes(event)) continue
          if (description.db !== undefined && description.db !== database) continue
          events.push([key, event, typeOf(event), database, Date.now(), [], !endsKey(event)])
        }
        await this.#append(shard, events, `notifications ${Date.now()} 0`)
        if (lost && description.rescan) await this.#rescan(shard)
      },
    })
  }

  async #append(shard: string, events: readonly KeptKeyEvent[], position: string): Promise<void> {
    const { deployment, stream, fence, positions, description } = this.#options
    // A gap is told to those that ask for everything, or for it.
    const wanted =
      description.events === undefined || description.events.includes('gap')
        ? events
        : events.filter(([, event]) => event !== 'gap')
    const entries: Buffer[] = []
    let open: KeptKeyEvent[] = []
    let bytes = 0
    for (const event of wanted) {
      open.push(event)
      bytes += 64 + event[5].reduce((sum, arg) => sum + arg.length, 0)
      if (open.length < eventsPerEntry && bytes < bytesPerEntry) continue
      entries.push(packPlain(open))
      open = []
      bytes = 0
    }
    if (open.length > 0) entries.push(packPlain(open))
    const added = await deployment.call(
      'trigger_tap',
      [stream, fence.key, positions],
      [fence.field, fence.value, shard, position, ...entries],
    )
    if (numberOf(added) < 0) throw new FencedError()
  }
}

const none: KeptKeyEvent[] = []

function startsWith(bytes: Buffer, prefix: Buffer): boolean {
  if (bytes.length < prefix.length) return false
  for (let i = 0; i < prefix.length; i++) if (bytes[i] !== prefix[i]) return false
  return true
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

function addressOf(deployment: Deployment, { host, port }: { readonly host: string; readonly port: number }): Address {
  const [first] = parseUrl(deployment.url).addresses
  return first !== undefined && 'path' in first && !deployment.topology.cluster ? first : { host, port }
}

export interface Replication {
  readonly replid: string
  /** The history that it went on with when it became a primary. */
  readonly before: string
  readonly offset: number
  /** It keeps what replicas may have missed. */
  readonly backlog: boolean
}

export async function replicationOf(deployment: Deployment, shard: string): Promise<Replication> {
  const info = textOf(await deployment.onShard(shard, ['INFO', 'replication']))
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  return {
    replid: field('master_replid'),
    before: field('master_replid2'),
    offset: Number(field('master_repl_offset')),
    backlog: field('repl_backlog_active') === '1',
  }
}
