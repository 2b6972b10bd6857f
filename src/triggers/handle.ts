// A trigger as a client holds it: by its name.
import { setTimeout as delay } from 'node:timers/promises'
import { decodeLetter, type Letter } from '../engine/effects.ts'
import { TriggerError } from '../errors.ts'
import type { DeadLetter, Trigger, TriggerStatus } from '../pipeline/trigger.ts'
import type { Reply } from '../redis/deployment.ts'
import { itemsOf, numberOf, pairsOf, textMapOf, textOf } from '../redis/replies.ts'
import { packPlain, unpackPlain, type KeptEvent } from './host/event-batch.ts'
import { eventNameOf, groupOf, homeKeys, type HomeKeys, type TriggerClient } from './keys.ts'
import type { KeptKeyEvent } from './sources/keys.ts'
import { statusOf } from './status.ts'
import { toldError } from './told.ts'

const lettersTogether = 100
const lookMs = 20

interface StoredLetter {
  readonly home: HomeKeys
  readonly field: string
  readonly value: Buffer
}

export class RegisteredTrigger implements Trigger {
  readonly name: string
  readonly #client: TriggerClient
  readonly #key: string

  constructor(name: string, client: TriggerClient) {
    this.name = name
    this.#client = client
    this.#key = client.keys.trigger(name)
  }

  async status(): Promise<TriggerStatus> {
    const fields = await this.#fields()
    return statusOf(this.name, fields, this.#client, await this.#homes())
  }

  async #fields(): Promise<ReadonlyMap<string, string>> {
    const fields = textMapOf(await this.#client.deployment.command(this.#key, ['HGETALL', this.#key]))
    if (!fields.has('rev') || fields.get('state') === 'removed') throw this.#unknown()
    return fields
  }

  #unknown(): TriggerError {
    return new TriggerError('TRIGGER_UNKNOWN', `there is no trigger ${JSON.stringify(this.name)}`)
  }

  async #homes(): Promise<HomeKeys[]> {
    const { deployment, namespace, keys } = this.#client
    const homes = keys.homes(this.name)
    const tags = itemsOf(await deployment.command(homes, ['SMEMBERS', homes])).map(textOf)
    return tags.map((tag) => homeKeys(namespace, this.name, tag))
  }

  async pause(): Promise<void> {
    await this.#move('paused')
    await this.#released()
  }

  async resume(): Promise<void> {
    await this.#move('running')
  }

  async #move(state: string): Promise<void> {
    const { deployment, keys } = this.#client
    const moved = await deployment.call('trigger_state', [this.#key, keys.events], [this.name, state, ''])
    if (numberOf(moved) === 0) throw this.#unknown()
  }

  /** Resolves when no worker holds a seat of it: a dead one's are free when its leases are over. */
  async #released(): Promise<void> {
    const { deployment, keys } = this.#client
    for (;;) {
      const [seats, time] = await Promise.all([
        deployment.command(keys.seats, ['HGETALL', keys.seats]),
        deployment.command(keys.seats, ['TIME']),
      ])
      const now = numberOf(itemsOf(time)[0]) * 1000
      const held = [...textMapOf(seats)].some(
        ([id, holder]) => id.slice(id.indexOf('.') + 1) === this.name && Number(holder.split(' ')[2]) > now,
      )
      if (!held) return
      await delay(lookMs)
    }
  }

  async remove(): Promise<void> {
    const { deployment, keys, namespace } = this.#client
    const fields = await this.#fields()
    await this.#move('removed')
    await this.#released()
    const group = groupOf(namespace, this.name)
    for (const home of await this.#homes()) {
      const fences = itemsOf(await deployment.command(home.fences, ['HKEYS', home.fences])).map(textOf)
      const streams = new Set(fences.map((field) => field.replace(/^\d+\|/, '')))
      await Promise.all([...streams].map((stream) => this.#leaveStream(stream, group)))
      const all = [home.fences, home.counters, home.retries, home.due, home.letters, home.outboxes]
      await deployment.command(home.fences, ['UNLINK', ...all])
    }
    const realm = fields.get('realmkey') ?? ''
    if (realm !== '') await deployment.call('realm_leave', [realm], [`t.${this.name}`])
    const own = [this.#key, keys.homes(this.name), keys.internal(this.name), keys.marks(this.name)]
    const stored = [fields.get('program') ?? '', fields.get('code') ?? ''].filter((key) => key !== '')
    await deployment.command(this.#key, ['UNLINK', ...own, ...stored])
    const seats = itemsOf(await deployment.command(keys.seats, ['HKEYS', keys.seats])).map(textOf)
    const mine = seats.filter((id) => id.slice(id.indexOf('.') + 1) === this.name)
    if (mine.length > 0) await deployment.command(keys.seats, ['HDEL', keys.seats, ...mine])
    await deployment.command(keys.registry, ['HDEL', keys.registry, this.name])
    await deployment.call(
      'trigger_forget',
      [keys.registry, keys.seats, keys.live, keys.events, keys.tapPositions],
      [keys.prefix],
    )
  }

  async #leaveStream(stream: string, group: string): Promise<void> {
    // The stream may be gone, or be of another type by now.
    await this.#client.deployment.command(stream, ['XGROUP', 'DESTROY', stream, group]).catch(() => undefined)
  }

  async deadLetters(): Promise<DeadLetter[]> {
    const fields = await this.#fields()
    const entryOf = fields.get('kind') === 'keys' ? entryOfKey : entryOfStream
    const letters: DeadLetter[] = []
    for await (const stored of this.#letters()) letters.push(letterOf(stored, entryOf))
    return letters.sort((a, b) => a.at - b.at)
  }

  async *#letters(): AsyncGenerator<StoredLetter> {
    const { deployment } = this.#client
    for (const home of await this.#homes()) {
      const seen = new Set<string>()
      let cursor = '0'
      do {
        const scan = ['HSCAN', home.letters, cursor, 'COUNT', lettersTogether]
        const [next, found] = itemsOf(await deployment.command(home.letters, scan, { binary: true }))
        cursor = textOf(next)
        for (const [name, value] of pairsOf(found)) {
          const field = textOf(name)
          if (seen.has(field) || !Buffer.isBuffer(value)) continue
          seen.add(field)
          yield { home, field, value }
        }
      } while (cursor !== '0')
    }
  }

  async replay(): Promise<number> {
    const { deployment } = this.#client
    await this.#fields()
    const all: StoredLetter[] = []
    for await (const letter of this.#letters()) all.push(letter)
    let replayed = 0
    for (const { home, field, value } of all) {
      const keys = [home.letters, home.retries, home.due, home.outboxes]
      const outbox = value[0] === 0x45 ? outboxOf(field, contentOf(value)) : ''
      replayed += numberOf(await deployment.call('trigger_replay', keys, [field, value, outbox]))
    }
    // Has its seats look for it now.
    if (replayed > 0) await this.#move('')
    return replayed
  }
}

/** `R<attempts> <at> <event>` or `E<attempts> <at> <commands>`. */
function contentOf(value: Buffer): Buffer {
  const first = value.indexOf(0x20)
  return value.subarray(value.indexOf(0x20, first + 1) + 1)
}

function outboxOf(field: string, letter: Buffer): Buffer {
  return packPlain([1, ...decodeLetter(letter).commands.flatMap((command) => [field, [...command]])])
}

function letterOf({ field, value }: StoredLetter, entryOf: (event: unknown) => DeadLetter['entry']): DeadLetter {
  const { id, stream } = eventNameOf(field)
  const [attempts = '', at = ''] = value.toString('latin1', 1, 40).split(' ')
  const base = { id, key: stream, attempts: Number(attempts), at: Number(at) }
  if (value[0] === 0x45) {
    const { reason, commands }: Letter = decodeLetter(contentOf(value))
    return {
      ...base,
      error: { code: 'EXECUTION_EFFECT', message: reason },
      entry: undefined,
      commands: commands.map((command) => command.map((part) => part.toString())),
    }
  }
  const { event, code, message, stack } = unpackPlain(contentOf(value)) as KeptEvent
  return { ...base, error: toldError({ code, message, stack }), entry: entryOf(event), commands: undefined }
}

function entryOfKey(event: unknown): DeadLetter['entry'] {
  const [key, name, type, db, at, change, , value] = event as KeptKeyEvent
  return [
    ['key', key],
    ['event', name],
    ['type', type],
    ['db', String(db)],
    ['at', String(at)],
    ['change', change.join(' ')],
    ...(typeof value === 'string' ? [['value', value] as const] : []),
  ]
}

function entryOfStream(event: unknown): DeadLetter['entry'] {
  if (!Array.isArray(event)) return undefined
  return pairsOf(event as Reply[]).map(([name, value]) => [textOf(name), textOf(value)] as const)
}
