// How a keyspace is divided among tasks, and what a task checks before and after it reads its part.
//
// A part is some slots (of one shard, as it was at the start) and a range of SCAN's order within them. Where the order does
// not hang on the server process (one range for all keys, or slot after slot), the part is read from whoever has the slots
// now, and read again where they moved meanwhile. Ranges of a hash table are those of one server process: where another one
// took its place, or slots moved, parts that were read before and after do not fit together. So the tasks of a stage agree on
// where the keys are, and where one of them finds that changed, all read anew.
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError, GearmillError } from '../../../errors.ts'
import type { TaskContext } from '../../../engine/runner.ts'
import type { Deployment } from '../../../redis/deployment.ts'
import { covers, shared, standingOf } from '../../../redis/ownership.ts'
import { numberOf } from '../../../redis/replies.ts'
import { type ScanOrder, type ScanRange, scanOrderOf, scanRangeOf } from '../../../redis/scan-order.ts'
import { mayHoldLarge } from './large.ts'

type SlotRanges = readonly (readonly [number, number])[]

/** What the plan says of one shard. */
interface PlannedShard {
  readonly slots: SlotRanges
  /** A power of two. */
  readonly ranges: number
  /** Whether a string may be too large to be read in one reply. */
  readonly large: boolean
}

export interface KeyspacePlan {
  readonly cluster: boolean
  readonly order: ScanOrder
  readonly shards: readonly PlannedShard[]
}

/** A range of one server's keys. */
export interface Place {
  readonly shard: string
  readonly range: ScanRange
  /** Which process has which slots. */
  readonly home: string
  /** The same, and how often slots have changed hands. */
  readonly signature: string
}

/** Keys that a range has when it is planned, at most, until there are `mostRanges`. */
const keysOfRange = 65_536
/** For each shard. */
const mostRanges = 64
/** How long a read waits for slots that are on their way, before it begins. */
const patienceMs = 10_000
const pauseMs = 100

/** The number of ranges for so many keys: it depends on nothing else. */
export function rangesOf(keys: number): number {
  let ranges = 1
  while (ranges < mostRanges && ranges * keysOfRange < keys) ranges *= 2
  return ranges
}

/** Also says how many keys there are now. */
export async function planKeyspace(
  deployment: Deployment,
  values: boolean,
): Promise<{ readonly plan: KeyspacePlan; readonly keys: number }> {
  const topology = await deployment.refresh()
  const order = scanOrderOf(topology)
  let keys = 0
  const shards = await Promise.all(
    topology.shards.map(async (shard): Promise<PlannedShard> => {
      const [size, large] = await Promise.all([
        deployment.onShard(shard.id, ['DBSIZE']),
        values && mayHoldLarge(deployment, shard.id),
      ])
      const count = numberOf(size)
      keys += count
      const ranges = order === 'unknown' ? 1 : rangesOf(count)
      return { slots: shard.slots, ranges, large }
    }),
  )
  return { plan: { cluster: topology.cluster, order, shards }, keys }
}

/** Part `index` of a plan, for the task that reads it. */
export class KeyspacePart {
  readonly large: boolean
  readonly #plan: KeyspacePlan
  readonly #shard: PlannedShard
  readonly #at: number
  readonly #range: number

  constructor(plan: KeyspacePlan, index: number) {
    let range = index
    let at = 0
    while (range >= (plan.shards[at] as PlannedShard).ranges) range -= (plan.shards[at++] as PlannedShard).ranges
    this.#plan = plan
    this.#at = at
    this.#shard = plan.shards[at] as PlannedShard
    this.#range = range
    this.large = this.#shard.large
  }

  /** Whether another server process may read it. */
  get #movable(): boolean {
    return this.#shard.ranges === 1 || (this.#plan.cluster && this.#plan.order === 'slots')
  }

  /**
   * Where the part is now. Throws EXECUTION_TOPOLOGY where it is not where other tasks have read theirs, or slots stay on their
   * way.
   */
  async locate(deployment: Deployment, task: Pick<TaskContext, 'agree' | 'signal'>): Promise<Place[]> {
    const places = await this.#settled(deployment, task.signal)
    if (this.#movable) return places
    const home = places.map((place) => place.home).join('\n')
    if ((await task.agree(`keys.${this.#at}`, home)) !== home)
      throw moved('slots moved, or a server took the place of another')
    return places
  }

  async #settled(deployment: Deployment, signal: AbortSignal): Promise<Place[]> {
    const deadline = performance.now() + patienceMs
    for (;;) {
      signal.throwIfAborted()
      const places = await this.#places(deployment)
      if (places !== undefined) return places
      if (performance.now() > deadline) throw moved('slots are on their way from one server to another')
      await delay(pauseMs, undefined, { signal })
    }
  }

  /** To be called when everything was read. Throws where the part may have moved meanwhile. */
  async confirm(deployment: Deployment, before: readonly Place[]): Promise<void> {
    const after = await this.#places(deployment)
    if (after !== undefined && signatureOf(after) === signatureOf(before)) return
    if (!this.#movable) throw moved('slots moved, or a server took the place of another')
    throw new ConnectError('CONNECT_LOST', 'slots moved while their keys were read: they are read again')
  }

  /** Undefined where the slots are moving now. */
  async #places(deployment: Deployment): Promise<Place[] | undefined> {
    const { slots, ranges } = this.#shard
    const { cluster, order } = this.#plan
    const { shards } = await deployment.refresh()
    const owners = shards.filter((shard) => shared(shard.slots, slots).length > 0)
    const places: Place[] = []
    let found: [number, number][] = []
    for (const shard of owners) {
      const own = cluster ? shared(shard.slots, slots) : [[0, 16383] as [number, number]]
      const standing = await standingOf(deployment, shard)
      if (!covers(standing.slots, own)) return undefined
      if (standing.moving.some((slot) => covers(slots, [[slot, slot]]))) return undefined
      found = [...found, ...own]
      const home = `${shard.id} ${standing.runId} ${JSON.stringify(own)}`
      places.push({
        shard: shard.id,
        // The range is cut from the slots of the plan, so that it is the same whoever has them.
        range: this.#rangeIn(scanRangeOf(order, this.#range, ranges, cluster, slots), own),
        home,
        signature: `${home} ${standing.epoch}`,
      })
    }
    return covers(found, slots) ? places : undefined
  }

  #rangeIn(range: ScanRange, own: SlotRanges): ScanRange {
    if (!this.#plan.cluster || covers(own, this.#shard.slots)) return range
    const here = scanRangeOf('unknown', 0, 1, true, own)
    return { ...range, owns: (key) => range.owns(key) && here.owns(key), ownsAll: false }
  }
}

function signatureOf(places: readonly Place[]): string {
  return places.map(({ signature }) => signature).join('\n')
}

function moved(why: string): GearmillError {
  return new GearmillError('EXECUTION_TOPOLOGY', `${why} while a keyspace was read`)
}
