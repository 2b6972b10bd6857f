// What a tap keeps in Redis: how far it is in each primary's history, from where on each trigger follows that primary
// (its mark), and the events. All of it lies in the first lane, so that it changes together.
import type { ConnectError } from '../../errors.ts'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textMapOf, textOf } from '../../redis/replies.ts'
import type { TapState } from '../../redis/tap/tap.ts'
import { tapName, type TriggerKeys } from '../keys.ts'
import type { SourceDescription } from '../sources/source.ts'
import type { KeptKeyEvent } from '../sources/keys.ts'
import { FencedError } from './committer.ts'
import { packPlain } from './event-batch.ts'
import type { Followed } from './key-filters.ts'

const eventsPerEntry = 100
const bytesPerEntry = 64 * 1024

/** From which offset on a trigger follows a primary, and which revision of it does. */
export interface Mark {
  readonly from: number
  readonly revision: string
}

/** What one trigger gets of an append. */
export interface Share {
  readonly trigger: Pick<Followed, 'name' | 'created' | 'description'>
  readonly events: readonly KeptKeyEvent[]
  readonly mark?: Mark
  /** Its keys are to be read again. */
  readonly rescan?: boolean
}

export class TapStore {
  readonly #deployment: Deployment
  readonly #keys: TriggerKeys
  readonly #field: string
  readonly #fence: string

  constructor(deployment: Deployment, keys: TriggerKeys, seat: number, fence: string) {
    this.#deployment = deployment
    this.#keys = keys
    this.#field = `${seat}.${tapName}`
    this.#fence = fence
  }

  /** All key triggers that there are. */
  async triggers(): Promise<Followed[]> {
    const { registry } = this.#keys
    const names = itemsOf(await this.#deployment.command(registry, ['HKEYS', registry])).map(textOf)
    const all = await Promise.all(
      names.map(async (name): Promise<Followed[]> => {
        const key = this.#keys.trigger(name)
        const facts = await this.#deployment.command(key, ['HMGET', key, 'kind', 'created', 'rev', 'source', 'state'])
        const [kind, created = '', revision = '', source = '', state = ''] = itemsOf(facts).map(textOf)
        if (kind !== 'keys' || state === 'removed') return []
        const description = JSON.parse(source) as SourceDescription
        return description.kind === 'keys' ? [{ name, created, revision, state, description }] : []
      }),
    )
    return all.flat()
  }

  /** Stops a trigger that cannot be served, and says why. */
  async stop({ name }: Followed, error: ConnectError): Promise<void> {
    const { code, message } = error
    const args = [name, 'stopped', JSON.stringify({ code, message })]
    await this.#deployment.call('trigger_state', [this.#keys.trigger(name), this.#keys.events], args)
  }

  /** Positions by primary. */
  async positions(): Promise<ReadonlyMap<string, string>> {
    const key = this.#keys.tapPositions
    return textMapOf(await this.#deployment.command(key, ['HGETALL', key]))
  }

  async forget(shard: string): Promise<void> {
    const key = this.#keys.tapPositions
    await this.#deployment.command(key, ['HDEL', key, shard])
  }

  async marks(name: string): Promise<ReadonlyMap<string, string>> {
    const key = this.#keys.marks(name)
    return textMapOf(await this.#deployment.command(key, ['HGETALL', key]))
  }

  async rescanned(name: string, shard: string): Promise<void> {
    const key = this.#keys.marks(name)
    await this.#deployment.command(key, ['HDEL', key, `rescan ${shard}`])
  }

  /**
   * Appends, and moves the position of a primary (`to`; undefined: leaves it). Throws FencedError where another tap went on.
   * @param from the position that is stored
   */
  async append(shard: string, from: string, to: string | undefined, shares: readonly Share[]): Promise<void> {
    const { seats, tapPositions } = this.#keys
    const keys = [seats, tapPositions]
    const args: Argument[] = [this.#field, this.#fence, shard, from, to ?? '']
    for (const { trigger, events, mark, rescan } of shares) {
      const { name, created, description } = trigger
      keys.push(this.#keys.trigger(name), this.#keys.internal(name), this.#keys.marks(name))
      // A gap is told to those that ask for everything, or for it.
      const asked = description.events === undefined || description.events.includes('gap')
      const entries = packed(asked ? events : events.filter(([, event]) => event !== 'gap'))
      args.push(
        created,
        mark === undefined ? '' : markText(mark),
        rescan === true ? '1' : '',
        entries.length,
        ...entries,
      )
    }
    if (numberOf(await this.#deployment.call('trigger_tap', keys, args)) < 0) throw new FencedError()
  }
}

function packed(events: readonly KeptKeyEvent[]): Buffer[] {
  const entries: Buffer[] = []
  let open: KeptKeyEvent[] = []
  let bytes = 0
  for (const event of events) {
    open.push(event)
    bytes += 64
    for (const arg of event[5]) bytes += arg.length
    if (open.length < eventsPerEntry && bytes < bytesPerEntry) continue
    entries.push(packPlain(open))
    open = []
    bytes = 0
  }
  if (open.length > 0) entries.push(packPlain(open))
  return entries
}

function markText({ from, revision }: Mark): string {
  return `${from} ${revision}`
}

export function markOf(text: string | undefined): Mark | undefined {
  if (text === undefined) return undefined
  const [from, revision = ''] = text.split(' ')
  return { from: Number(from), revision }
}

export function positionText({ replid, offset, database }: TapState): string {
  return `${replid} ${offset} ${database}`
}

export function positionOf(text: string | undefined): TapState | undefined {
  const [replid, offset, database] = (text ?? '').split(' ')
  return replid && offset ? { replid, offset: Number(offset), database: Number(database) } : undefined
}
