// The keys of one range of a server's keyspace, a SCAN call at a time.
import { isUtf8 } from 'node:buffer'
import type { Argument, Deployment, Reply } from '../../../redis/deployment.ts'
import { itemsOf, textOf } from '../../../redis/replies.ts'
import { slotOf } from '../../../redis/slots.ts'
import type { Place } from './parts.ts'
import { RecentKeys } from './recent.ts'

/** Text where the key is UTF-8, else its bytes. */
export type Key = string | Buffer

export interface ScanOptions {
  readonly pattern: string
  readonly type?: string | undefined
}

interface Page {
  readonly cursor: string
  readonly keys: readonly Key[]
}

/** Buckets that one call walks, about. Far below the keys of a range: a call that crosses a boundary is read twice. */
const scanCount = 1000

/** New keys; the next call is under way while the keys of one are worked on. */
export async function* scanned(
  deployment: Deployment,
  { shard, range }: Place,
  { pattern, type }: ScanOptions,
  ownPrefix: string,
): AsyncGenerator<readonly Key[]> {
  const seen = new RecentKeys()
  const filters: readonly Argument[] = [
    ...(pattern === '*' ? [] : ['MATCH', pattern]),
    ...(type === undefined ? [] : ['TYPE', type]),
  ]
  const scan = async (cursor: string): Promise<Page> => {
    const command = ['SCAN', cursor, 'COUNT', scanCount, ...filters]
    const [next, keys] = itemsOf(await deployment.onShard(shard, command))
    const names = itemsOf(keys) as readonly string[]
    if (!names.some((name) => name.includes('\uFFFD'))) return { cursor: textOf(next), keys: names }
    // Some key has no such text, or has this very character: the same call again, for the bytes.
    const [after, bytes] = itemsOf(await deployment.onShard(shard, command, { binary: true }))
    return { cursor: textOf(after), keys: itemsOf(bytes).map(keyOf) }
  }

  let cursor = range.start
  let pending: Promise<Page> | undefined = scan(cursor)
  while (pending !== undefined) {
    const page: Page = await pending
    const last = range.ends(page.cursor)
    pending = last ? undefined : scan(page.cursor)
    // Its rejection is seen when it is awaited; until then it is no unhandled one.
    pending?.catch(() => undefined)
    cursor = page.cursor
    const others = last ? await behind(scan, range.boundary, cursor) : undefined
    const fresh = page.keys.filter((key) => {
      const name = nameOf(key)
      return !name.startsWith(ownPrefix) && range.owns(key) && others?.has(name) !== true && seen.add(name)
    })
    if (fresh.length > 0) yield fresh
  }
}

/** The keys of the next range that came with the call that ended at `cursor`. */
async function behind(
  scan: (cursor: string) => Promise<Page>,
  boundary: Place['range']['boundary'],
  cursor: string,
): Promise<Set<string> | undefined> {
  if (boundary === undefined) return undefined
  const found = new Set<string>()
  for (let at = boundary.start; boundary.before(at, cursor);) {
    const page = await scan(at)
    // The keys in question may then lie in front of the boundary. A key twice is better than none.
    if (boundary.mayBeCoarse(page.cursor)) break
    for (const key of page.keys) found.add(nameOf(key))
    at = page.cursor
  }
  return found
}

function keyOf(reply: Reply): Key {
  const bytes = reply as Buffer
  return isUtf8(bytes) ? bytes.toString() : bytes
}

/** One text for each key: no key in text begins with what is put in front of bytes, half of a character. */
function nameOf(key: Key): string {
  return typeof key === 'string' ? key : `\uD800${key.toString('latin1')}`
}

/** Keys that one command may name: all on a server of its own, those of one slot in a cluster. */
export function groupsOf(keys: readonly Key[], cluster: boolean): readonly (readonly number[])[] {
  if (!cluster) return [keys.map((_, i) => i)]
  const groups = new Map<number, number[]>()
  for (const [i, key] of keys.entries()) {
    const slot = slotOf(key)
    const group = groups.get(slot)
    if (group === undefined) groups.set(slot, [i])
    else group.push(i)
  }
  return [...groups.values()]
}
