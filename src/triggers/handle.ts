// A trigger as a client holds it: by its name.
import { decodeLetter, type Letter } from '../engine/effects.ts'
import type { DeadLetter, Trigger, TriggerStatus } from '../pipeline/trigger.ts'
import type { Reply } from '../redis/deployment.ts'
import { itemsOf, numberOf, pairsOf, textMapOf, textOf } from '../redis/replies.ts'
import { packPlain, unpackPlain, type KeptEvent } from './host/event-batch.ts'
import { homesOf } from './homes.ts'
import { eventNameOf, type HomeKeys, type TriggerClient } from './keys.ts'
import { removeTrigger, unknownTrigger, untilReleased } from './removal.ts'
import type { KeptKeyEvent } from './sources/keys.ts'
import { statusOf } from './status.ts'
import { toldError } from './told.ts'

const lettersTogether = 100

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
    return statusOf(this.name, fields, this.#client, await homesOf(this.name, this.#client))
  }

  async #fields(): Promise<ReadonlyMap<string, string>> {
    const fields = textMapOf(await this.#client.deployment.command(this.#key, ['HGETALL', this.#key]))
    if (!fields.has('rev') || fields.get('state') === 'removed') throw unknownTrigger(this.name)
    return fields
  }

  async pause(): Promise<void> {
    await this.#move('paused')
    // Somebody may resume it meanwhile.
    await untilReleased(this.name, this.#client, ['paused', 'stopped'])
  }

  async resume(): Promise<void> {
    await this.#move('running')
  }

  async #move(state: string): Promise<void> {
    const { deployment, keys } = this.#client
    const moved = await deployment.call('trigger_state', [this.#key, keys.events], [this.name, state, ''])
    if (numberOf(moved) === 0) throw unknownTrigger(this.name)
  }

  remove(): Promise<void> {
    return removeTrigger(this.name, this.#client)
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
    for (const home of await homesOf(this.name, this.#client)) {
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
