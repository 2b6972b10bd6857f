// Reads replies whose shape depends on the protocol version (a map, or a flat array) without trusting either.
import type { Reply } from './deployment.ts'

/** The items of an array (or set) reply; none for anything else. */
export function itemsOf(reply: Reply | undefined): readonly Reply[] {
  return Array.isArray(reply) ? reply : []
}

/** Name and value of a map reply, or of a flat array of both. */
export function pairsOf(reply: Reply | undefined): [Reply, Reply][] {
  if (reply instanceof Map) return [...reply]
  const items = itemsOf(reply)
  const pairs: [Reply, Reply][] = []
  for (let i = 0; i + 1 < items.length; i += 2) pairs.push([items[i] as Reply, items[i + 1] as Reply])
  return pairs
}

/** A map reply with text on both sides. */
export function textMapOf(reply: Reply | undefined): Map<string, string> {
  return new Map(pairsOf(reply).map(([name, value]) => [textOf(name), textOf(value)]))
}

/** Text of a bulk string, status or number; '' for null. */
export function textOf(reply: Reply | undefined): string {
  if (reply === null || reply === undefined) return ''
  if (typeof reply === 'string') return reply
  if (Buffer.isBuffer(reply)) return reply.toString()
  return typeof reply === 'number' || typeof reply === 'boolean' ? String(reply) : ''
}

export function numberOf(reply: Reply | undefined): number {
  return Number(textOf(reply))
}

export interface StreamEntry {
  readonly id: string
  readonly fields: ReadonlyMap<string, string>
}

/** One `[id, [field, value, ...]]`. */
export function streamEntryOf(reply: Reply): StreamEntry {
  const items = itemsOf(reply)
  return { id: textOf(items[0]), fields: textMapOf(items[1]) }
}

/** The entries of an XREAD or XREADGROUP reply, of all its streams. */
export function streamEntriesOf(reply: Reply): StreamEntry[] {
  const streams = reply instanceof Map ? [...reply.values()] : itemsOf(reply).map((stream) => itemsOf(stream)[1])
  return streams.flatMap((entries) => itemsOf(entries).map(streamEntryOf))
}
