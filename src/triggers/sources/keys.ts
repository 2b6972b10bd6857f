// Changes of keys. A tap follows the primaries and appends what matches to the trigger's own stream, several events to an
// entry; from there on they are processed as the entries of any stream.
import type { KeyEvent, KeyEventType } from '../../pipeline/readers/events.ts'
import { PlanError } from '../../errors.ts'
import { itemsOf, numberOf, pairsOf, textOf } from '../../redis/replies.ts'
import type { Deployment, Reply } from '../../redis/deployment.ts'
import { unpackPlain } from '../host/event-batch.ts'
import type { EventSource } from './source.ts'

/** An event as it is kept: small, for there are many. */
export type KeptKeyEvent = readonly [
  key: string,
  event: string,
  type: KeyEventType,
  db: number,
  at: number,
  change: readonly string[],
  late: boolean,
  value?: string | undefined,
  /** Nobody knows why the key went. */
  unknown?: true | undefined,
  /** The key's bytes are no text: it cannot be named. */
  binary?: true,
]

/** After these there is no value to read. */
const endings: ReadonlySet<string> = new Set([
  'del',
  'expired',
  'evicted',
  'rename_from',
  'move_from',
  'gap',
  'flushdb',
  'flushall',
])

type Filled = { -readonly [K in keyof KeyEvent]: KeyEvent[K] }

export function endsKey(event: string): boolean {
  return endings.has(event)
}

export function keySource(stream: string, deployment: Deployment, database: number): EventSource {
  return {
    streams: { key: stream },
    deletes: true,
    binary: true,
    open: (fields) => unpackPlain(fields[1] as Buffer) as KeptKeyEvent[],
    record: (_stream, _id, event): KeyEvent => {
      const [key, name, type, db, at, change, late, value, unknown, binary] = event as KeptKeyEvent
      if (binary === true) throw new PlanError('PLAN_ENCODING', `the key ${JSON.stringify(key)} is not UTF-8`)
      return {
        ...{ key, event: name, type, db, change, late, at },
        ...(typeof value === 'string' ? { value } : {}),
        ...(unknown === true ? { cause: 'unknown' as const } : {}),
      }
    },
    prepare: async (records) => {
      // There is none of an event whose key is no text.
      const late = (records as (Filled | undefined)[]).filter(
        (event): event is Filled => event?.late === true && event.db === database,
      )
      await Promise.all(late.map((event) => fill(deployment, event)))
    },
  }
}

/** Reads a value back. A key that is gone by now, or of another type than the event's, has none. */
async function fill(deployment: Deployment, event: Filled): Promise<void> {
  if (event.type === 'unknown')
    event.type = textOf(await deployment.command(event.key, ['TYPE', event.key])) as KeyEventType
  const value = await readValue(deployment, event.key, event.type)
  if (value !== undefined) event.value = value
}

async function readValue(deployment: Deployment, key: string, type: KeyEventType): Promise<KeyEvent['value']> {
  const read = (...args: readonly (string | number)[]): Promise<Reply> =>
    deployment.command(key, args).catch((error: unknown) => {
      if (String(error).includes('WRONGTYPE')) return null
      throw error
    })
  switch (type) {
    case 'string': {
      const value = await read('GET', key)
      return value === null ? undefined : textOf(value)
    }
    case 'hash': {
      const fields = pairsOf(await read('HGETALL', key))
      return fields.length === 0 ? undefined : Object.fromEntries(fields.map(([f, v]) => [textOf(f), textOf(v)]))
    }
    case 'list':
    case 'set': {
      const items = itemsOf(await (type === 'list' ? read('LRANGE', key, 0, -1) : read('SMEMBERS', key)))
      return items.length === 0 ? undefined : items.map(textOf)
    }
    case 'zset': {
      const members = itemsOf(await read('ZRANGE', key, 0, -1, 'WITHSCORES'))
      if (members.length === 0) return undefined
      return members.map((pair) => ({ member: textOf(itemsOf(pair)[0]), score: numberOf(itemsOf(pair)[1]) }))
    }
    default:
      return undefined
  }
}
