// Values of many keys of one shard, in few round trips and bounded replies: first types and lengths, then small values as
// a whole and large ones in parts.
import type { Argument, Deployment, Reply } from '../../redis/deployment.ts'
import { textOf } from '../../redis/replies.ts'
import { textOfReply } from './decode.ts'

export const valueTypes = ['string', 'hash', 'list', 'set', 'zset', 'stream'] as const
export type ValueType = (typeof valueTypes)[number]

/** A value, or why there is none. */
export interface ReadValue {
  readonly type: ValueType
  readonly value?: unknown
  readonly error?: unknown
}

/** Larger collections are read in parts of about so many elements. */
const part = 1000

type Text = string | Uint8Array
type Call = (args: readonly Argument[]) => Promise<Reply>

/** The value of each key; undefined where the key is gone or of a type that Gearmill does not know. */
export async function readValues(
  deployment: Deployment,
  shard: string,
  found: readonly Buffer[],
  type: ValueType | undefined,
  binary: boolean,
): Promise<(ReadValue | undefined)[]> {
  const call: Call = (args) => deployment.onShard(shard, args, { binary: true })
  const types = await Promise.all(found.map(async (key) => type ?? typeOf(await call(['TYPE', key]))))
  return Promise.all(
    found.map(async (key, i): Promise<ReadValue | undefined> => {
      const known = types[i]
      if (known === undefined) return undefined
      try {
        const value = await readers[known](call, key, (bytes) =>
          binary ? new Uint8Array(bytes) : textOfReply(bytes, 'the value'),
        )
        return value === undefined ? undefined : { type: known, value }
      } catch (error) {
        // Another type took its place since it was scanned: gone, as far as this type goes.
        if (error instanceof Error && error.message.includes('WRONGTYPE')) return undefined
        return { type: known, error }
      }
    }),
  )
}

function typeOf(reply: Reply): ValueType | undefined {
  const name = textOf(reply)
  return valueTypes.find((type) => type === name)
}

type ReadOne = (call: Call, key: Buffer, text: (bytes: Buffer) => Text) => Promise<unknown>

const readers: Readonly<Record<ValueType, ReadOne>> = {
  async string(call, key, text) {
    const reply = await call(['GET', key])
    return reply === null ? undefined : text(reply as Buffer)
  },

  async hash(call, key, text) {
    const length = Number(await call(['HLEN', key]))
    if (length === 0) return undefined
    const pairs = length <= part ? pairsOf(await call(['HGETALL', key])) : pairsIn(await scanAll(call, 'HSCAN', key))
    return Object.fromEntries(pairs.map(([field, value]) => [nameOf(field), text(value as Buffer)]))
  },

  async list(call, key, text) {
    const length = Number(await call(['LLEN', key]))
    if (length === 0) return undefined
    const items: Text[] = []
    for (let from = 0; from < length; from += part) {
      const reply = (await call(['LRANGE', key, from, from + part - 1])) as Buffer[]
      for (const item of reply) items.push(text(item))
      if (reply.length < part) break
    }
    return items
  },

  async set(call, key, text) {
    const length = Number(await call(['SCARD', key]))
    if (length === 0) return undefined
    const members = length <= part ? membersOf(await call(['SMEMBERS', key])) : await scanAll(call, 'SSCAN', key)
    return [...unique(members)].map((member) => text(member))
  },

  async zset(call, key, text) {
    const length = Number(await call(['ZCARD', key]))
    if (length === 0) return undefined
    const pairs =
      length <= part
        ? pairsOf(await call(['ZRANGE', key, 0, -1, 'WITHSCORES']))
        : pairsIn(await scanAll(call, 'ZSCAN', key))
    const byMember = new Map(pairs.map(([member, score]) => [member.toString('latin1'), { member, score }]))
    const members = Array.from(byMember.values(), ({ member, score }) => ({
      member: text(member),
      score: scoreOf(score),
    }))
    // ZSCAN has no order.
    return length <= part ? members : members.sort((a, b) => a.score - b.score)
  },

  async stream(call, key, text) {
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
async function scanAll(call: Call, command: 'HSCAN' | 'SSCAN' | 'ZSCAN', key: Buffer): Promise<Buffer[]> {
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
