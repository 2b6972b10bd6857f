// The keys of one range of a server's keyspace, a SCAN call at a time.
import type { Argument, Deployment } from '../../../redis/deployment.ts'
import { BulkColumn } from '../../../redis/protocol/column.ts'
import type { ScanRange } from '../../../redis/scan-order.ts'
import { slotOf } from '../../../redis/slots.ts'
import type { Place } from './parts.ts'
import { RecentKeys } from './recent.ts'

/** Text where the key is UTF-8, else its bytes. */
export type Key = string | Buffer

export interface ScanOptions {
  readonly pattern: string
  /** The type to ask for, if any; asked before each call. */
  readonly type: () => string | undefined
}

interface Page {
  readonly cursor: string
  readonly keys: BulkColumn
}

/**
 * Buckets that one call walks, about. Other clients wait for a call that runs: this many take the server about 0.3 ms. Far
 * below the keys of a range: a call that crosses a boundary is read twice.
 */
const scanCount = 500

const none = BulkColumn.of([])

/** New keys; the next call is under way while the keys of one are worked on. */
export async function* scanned(
  deployment: Deployment,
  { shard, range }: Place,
  { pattern, type }: ScanOptions,
  ownPrefix: string,
): AsyncGenerator<BulkColumn> {
  const seen = new RecentKeys()
  const prefix = Buffer.from(ownPrefix)
  const match: readonly Argument[] = pattern === '*' ? [] : ['MATCH', pattern]
  const scan = async (cursor: string): Promise<Page> => {
    const wanted = type()
    const filters = wanted === undefined ? match : [...match, 'TYPE', wanted]
    const reply = await deployment.columns({ shard }, ['SCAN', cursor, 'COUNT', scanCount, ...filters])
    const [next, keys] = Array.isArray(reply) ? reply : []
    return { cursor: typeof next === 'string' ? next : '0', keys: keys instanceof BulkColumn ? keys : none }
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
    const { keys } = page
    const fresh = freshIn(keys, { seen, prefix, range, others })
    if (fresh.length > 0) yield fresh.length === keys.length ? keys : keys.select(fresh)
  }
}

/**
 * Which keys are the range's own and new. A function of its own: a loop in a generator that is compiled while it runs is
 * compiled again and again, for longer than it takes to run.
 */
function freshIn(
  keys: BulkColumn,
  {
    seen,
    prefix,
    range,
    others,
  }: {
    readonly seen: RecentKeys
    readonly prefix: Buffer
    readonly range: ScanRange
    readonly others: ReadonlySet<string> | undefined
  },
): number[] {
  const fresh: number[] = []
  for (let i = 0; i < keys.length; i++) {
    if (startsWith(keys, i, prefix)) continue
    if (!range.ownsAll && !range.owns(keys.bytesOf(i))) continue
    if (others?.has(nameOf(keys, i)) === true) continue
    if (seen.add(keys, i)) fresh.push(i)
  }
  return fresh
}

function startsWith({ bytes, starts, lengths }: BulkColumn, i: number, prefix: Buffer): boolean {
  if ((lengths[i] as number) < prefix.length) return false
  const start = starts[i] as number
  for (let k = 0; k < prefix.length; k++) if (bytes[start + k] !== prefix[k]) return false
  return true
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
    for (let i = 0; i < page.keys.length; i++) found.add(nameOf(page.keys, i))
    at = page.cursor
  }
  return found
}

/** One text for each key. */
function nameOf(keys: BulkColumn, i: number): string {
  return keys.bytesOf(i).toString('latin1')
}

/** Keys that one command may name in a cluster: those of one slot. */
export function groupsBySlot(keys: BulkColumn): readonly (readonly number[])[] {
  const groups = new Map<number, number[]>()
  for (let i = 0; i < keys.length; i++) {
    const slot = slotOf(keys.bytesOf(i))
    const group = groups.get(slot)
    if (group === undefined) groups.set(slot, [i])
    else group.push(i)
  }
  return [...groups.values()]
}
