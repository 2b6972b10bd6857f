// The keys of one range of a server's keyspace, a SCAN call at a time.
import type { Argument, ColumnReply, Deployment } from '../../../redis/deployment.ts'
import { BulkColumn } from '../../../redis/protocol/column.ts'
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

/**
 * New keys, page by page. A class and no generator, as all that is done once for a page: V8 counts what a function is worth
 * compiling by where it is left, and so compiles what waits at its end much sooner, for longer than it runs in all.
 */
export class KeyScan {
  readonly #deployment: Deployment
  readonly #place: Place
  readonly #match: readonly Argument[]
  readonly #type: ScanOptions['type']
  readonly #prefix: Buffer
  readonly #seen = new RecentKeys()
  /** Undefined: the range is over. */
  #cursor: string | undefined
  #pending: Promise<Page> | undefined

  constructor(deployment: Deployment, place: Place, { pattern, type }: ScanOptions, ownPrefix: string) {
    this.#deployment = deployment
    this.#place = place
    this.#match = pattern === '*' ? [] : ['MATCH', pattern]
    this.#type = type
    this.#prefix = Buffer.from(ownPrefix)
    this.#cursor = place.range.start
  }

  /** The next keys; undefined: there are no more. */
  async next(): Promise<BulkColumn | undefined> {
    while (this.#cursor !== undefined) {
      this.ahead()
      const page = (await this.#pending) as Page
      this.#pending = undefined
      const last = this.#place.range.ends(page.cursor)
      this.#cursor = last ? undefined : page.cursor
      const fresh = this.#freshIn(page.keys)
      const own = last ? without(fresh, await this.#behind(page.cursor)) : fresh
      if (own.length > 0) return own
    }
    return undefined
  }

  /** Asks for the page that next() will give, so that it comes while this one is worked on. */
  ahead(): void {
    if (this.#cursor === undefined || this.#pending !== undefined) return
    this.#pending = this.#scan(this.#cursor)
    // Its rejection is seen when it is awaited; until then it is no unhandled one.
    this.#pending.catch(() => undefined)
  }

  #scan(cursor: string): Promise<Page> {
    const wanted = this.#type()
    const filters = wanted === undefined ? this.#match : [...this.#match, 'TYPE', wanted]
    const { shard } = this.#place
    return this.#deployment.columns({ shard }, ['SCAN', cursor, 'COUNT', scanCount, ...filters]).then(pageOf)
  }

  /** Those that are the range's own, as far as their names tell, and new. */
  #freshIn(keys: BulkColumn): BulkColumn {
    const indexes = new Uint32Array(keys.length)
    const count = this.#findFresh(keys, indexes)
    return count === keys.length ? keys : keys.select(indexes.subarray(0, count))
  }

  /** Puts their indexes into `found`; how many there are. Nothing but the loop: what it had not met yet would undo its compilation. */
  #findFresh(keys: BulkColumn, found: Uint32Array): number {
    const { range } = this.#place
    let count = 0
    for (let i = 0; i < keys.length; i++) {
      if (startsWith(keys, i, this.#prefix)) continue
      if (!range.ownsAll && !range.owns(keys.bytesOf(i))) continue
      if (this.#seen.add(keys, i)) found[count++] = i
    }
    return count
  }

  /** The keys of the next range that came with the call that ended at `cursor`. */
  async #behind(cursor: string): Promise<Set<string> | undefined> {
    const { boundary } = this.#place.range
    if (boundary === undefined) return undefined
    const found = new Set<string>()
    for (let at = boundary.start; boundary.before(at, cursor);) {
      const page = await this.#scan(at)
      // The keys in question may then lie in front of the boundary. A key twice is better than none.
      if (boundary.mayBeCoarse(page.cursor)) break
      addNames(found, page.keys)
      at = page.cursor
    }
    return found
  }
}

function startsWith({ bytes, starts, lengths }: BulkColumn, i: number, prefix: Buffer): boolean {
  if ((lengths[i] as number) < prefix.length) return false
  const start = starts[i] as number
  for (let k = 0; k < prefix.length; k++) if (bytes[start + k] !== prefix[k]) return false
  return true
}

function pageOf(reply: ColumnReply): Page {
  const [next, keys] = Array.isArray(reply) ? reply : []
  return { cursor: typeof next === 'string' ? next : '0', keys: keys instanceof BulkColumn ? keys : none }
}

function without(keys: BulkColumn, names: ReadonlySet<string> | undefined): BulkColumn {
  if (names === undefined || names.size === 0) return keys
  const others = Array.from({ length: keys.length }, (_, i) => i).filter((i) => !names.has(nameOf(keys, i)))
  return others.length === keys.length ? keys : keys.select(others)
}

function addNames(names: Set<string>, keys: BulkColumn): void {
  for (let i = 0; i < keys.length; i++) names.add(nameOf(keys, i))
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
