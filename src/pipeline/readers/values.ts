// Values of collections in bounded replies: small ones as a whole, many in one round trip, large ones in parts.
import type { Argument, Deployment, Reply } from '../../redis/deployment.ts'
import { PlanError } from '../../errors.ts'
import { textOf } from '../../redis/replies.ts'
import { textOfReply } from './decode.ts'
import type { Key } from './keyspace/scan.ts'

export const valueTypes = ['string', 'hash', 'list', 'set', 'zset', 'stream'] as const
export type ValueType = (typeof valueTypes)[number]
export type CollectionType = Exclude<ValueType, 'string'>

/** A value, or why there is none. */
export interface ReadValue {
  readonly type: ValueType
  readonly value?: unknown
  readonly error?: unknown
}

/** Larger collections are read in parts of so many elements at most. */
const mostElements = 1000
/** Larger ones in parts of about so many bytes. */
const partBytes = 1024 * 1024

type Text = string | Uint8Array
type Call = (args: readonly Argument[]) => Promise<Reply>

const lengthCommands: Readonly<Record<CollectionType, string>> = {
  hash: 'HLEN',
  list: 'LLEN',
  set: 'SCARD',
  zset: 'ZCARD',
  stream: 'XLEN',
}

/** How a collection is to be read. */
export interface Extent {
  readonly type: CollectionType
  readonly length: number
  readonly bytes: number
}

/** The lengths of collections, and about how large they are. Undefined: gone. */
export function extentsOf(
  deployment: Deployment,
  keys: readonly { readonly key: Key; readonly type: CollectionType }[],
): Promise<(Extent | undefined)[]> {
  return Promise.all(
    keys.map(async ({ key, type }) => {
      const [length, bytes] = await Promise.all([
        whereTyped(deployment.command(key, [lengthCommands[type], key])),
        deployment.command(key, ['MEMORY', 'USAGE', key]),
      ])
      // Only a stream may be there and empty.
      const there = type === 'stream' ? length !== null && bytes !== null : Number(length) > 0
      return there ? { type, length: Number(length), bytes: Number(bytes) } : undefined
    }),
  )
}

/** What another type took the place of is gone, as far as its old type goes. */
async function whereTyped(reply: Promise<Reply>): Promise<Reply> {
  try {
    return await reply
  } catch (error) {
    if (error instanceof Error && error.message.includes('WRONGTYPE')) return null
    throw error
  }
}

/** The value of one collection; undefined where it is gone. */
export async function readCollection(
  deployment: Deployment,
  key: Key,
  { type, length, bytes }: Extent,
  binary: boolean,
): Promise<ReadValue | undefined> {
  const call: Call = (args) => deployment.command(key, args, { binary: true })
  const text = (one: Buffer): Text => (binary ? new Uint8Array(one) : textOfReply(one, 'the value'))
  const part = Math.max(1, Math.min(mostElements, Math.floor(partBytes / Math.max(1, bytes / Math.max(1, length)))))
  try {
    const value = await readers[type](call, key, text, length, part)
    const gone = type !== 'stream' && Object.keys(value).length === 0
    return gone ? undefined : { type, value }
  } catch (error) {
    if (error instanceof Error && error.message.includes('WRONGTYPE')) return undefined
    if (error instanceof PlanError) return { type, error }
    throw error
  }
}

/** `none`: there is no such key. `other`: a type that a module has brought. */
export function typeOf(reply: Reply): ValueType | 'none' | 'other' {
  const name = textOf(reply)
  return name === 'none' ? 'none' : (valueTypes.find((type) => type === name) ?? 'other')
}

type ReadOne = (call: Call, key: Key, text: (bytes: Buffer) => Text, length: number, part: number) => Promise<object>

const readers: Readonly<Record<CollectionType, ReadOne>> = {
  async hash(call, key, text, length, part) {
    const pairs =
      length <= part ? pairsOf(await call(['HGETALL', key])) : pairsIn(await scanAll(call, 'HSCAN', key, part))
    return Object.fromEntries(pairs.map(([field, value]) => [nameOf(field), text(value as Buffer)]))
  },

  async list(call, key, text, length, part) {
    const items: Text[] = []
    for (let from = 0; from < length; from += part) {
      const reply = (await call(['LRANGE', key, from, from + part - 1])) as Buffer[]
      for (const item of reply) items.push(text(item))
      if (reply.length < part) break
    }
    return items
  },

  async set(call, key, text, length, part) {
    const members = length <= part ? membersOf(await call(['SMEMBERS', key])) : await scanAll(call, 'SSCAN', key, part)
    return [...unique(members)].map((member) => text(member))
  },

  async zset(call, key, text, length, part) {
    const pairs =
      length <= part
        ? pairsOf(await call(['ZRANGE', key, 0, -1, 'WITHSCORES']))
        : pairsIn(await scanAll(call, 'ZSCAN', key, part))
    const byMember = new Map(pairs.map(([member, score]) => [member.toString('latin1'), { member, score }]))
    const all = Array.from(byMember.values(), ({ member, score }) => ({ member, score: scoreOf(score) }))
    // ZSCAN has no order.
    if (length > part) all.sort((a, b) => (a.score === b.score ? a.member.compare(b.member) : a.score - b.score))
    return all.map(({ member, score }) => ({ member: text(member), score }))
  },

  async stream(call, key, text, _length, part) {
    const entries: { id: string; value: Record<string, Text> }[] = []
    for (let from = '-'; ;) {
      const reply = (await call(['XRANGE', key, from, '+', 'COUNT', part])) as [Buffer, Buffer[] | null][]
      for (const [id, fields] of reply) {
        const pairs = pairsIn(fields ?? [])
        const value = Object.fromEntries(pairs.map(([field, one]) => [nameOf(field), text(one as Buffer)]))
        entries.push({ id: id.toString(), value })
      }
      if (reply.length < part) return entries
      from = `(${(entries.at(-1) as { id: string }).id}`
    }
  },
}

/** All items of a collection, by its own SCAN; some twice where it changes meanwhile. */
async function scanAll(call: Call, command: 'HSCAN' | 'SSCAN' | 'ZSCAN', key: Key, part: number): Promise<Buffer[]> {
  const items: Buffer[] = []
  let cursor = '0'
  do {
    const reply = (await call([command, key, cursor, 'COUNT', part])) as [Buffer, Buffer[]]
    for (const item of reply[1]) items.push(item)
    cursor = reply[0].toString()
  } while (cursor !== '0')
  return items
}

function membersOf(reply: Reply): Buffer[] {
  return (reply as Iterable<Reply> | null) === null ? [] : (Array.from(reply as Iterable<Reply>) as Buffer[])
}

/** Flat or nested pairs, or a map, as the protocol version has them. */
function pairsOf(reply: Reply): (readonly [Buffer, Reply])[] {
  if (reply instanceof Map) return Array.from(reply, ([key, value]) => [key as Buffer, value])
  const list = reply as Reply[]
  return Array.isArray(list[0]) ? (list as [Buffer, Reply][]) : pairsIn(list)
}

function pairsIn(list: readonly Reply[]): (readonly [Buffer, Reply])[] {
  const pairs: (readonly [Buffer, Reply])[] = []
  for (let i = 0; i + 1 < list.length; i += 2) pairs.push([list[i] as Buffer, list[i + 1] as Reply])
  return pairs
}

function unique(members: readonly Buffer[]): Iterable<Buffer> {
  return new Map(members.map((member) => [member.toString('latin1'), member])).values()
}

/** Names of fields are property names, so text; bytes that are not UTF-8 fail the record. */
function nameOf(field: Buffer): string {
  return textOfReply(field, 'the name of a field')
}

function scoreOf(reply: Reply): number {
  if (typeof reply === 'number') return reply
  const text = textOf(reply)
  return text === 'inf' ? Infinity : text === '-inf' ? -Infinity : Number(text)
}
