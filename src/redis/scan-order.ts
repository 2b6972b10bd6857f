// The order in which SCAN walks a keyspace, and how it is cut into ranges that several readers walk at once.
//
// reversed  One hash table. The cursor counts with its bits reversed: a key's place is the reversed hash of it, whatever the
//           size of the table. So a range is one of reversed cursors, and it stays one while the table is resized.
// slots     A hash table for each slot (clusters of Redis 7.4 and Valkey 8 on): the slot is in the low bits of the cursor.
// unknown   One range.
import type { Topology } from './deployment.ts'
import { slotCount, slotOf } from './slots.ts'

export type ScanOrder = 'reversed' | 'slots' | 'unknown'

type SlotRanges = readonly (readonly [number, number])[]

export function scanOrderOf({ cluster, server }: Topology): ScanOrder {
  const { name, version } = server
  const [major, minor] = version
  const newest = name === 'redis' ? 8 : 9
  if (major > newest) return 'unknown'
  const tablePerSlot = cluster && (name === 'redis' ? major >= 8 || minor >= 4 : major >= 8)
  return tablePerSlot ? 'slots' : 'reversed'
}

/** One range of a keyspace. */
export interface ScanRange {
  /** The cursor that it begins with. */
  readonly start: string
  /** Whether a cursor that SCAN returned lies behind the range. */
  ends(cursor: string): boolean
  /** Whether keys of the next range can come with the last call: see `Boundary`. */
  readonly boundary?: Boundary | undefined
  /** Whether a key that SCAN returned belongs to the range, where its name tells. */
  owns(key: string | Uint8Array): boolean
  /** It does, whatever its name. */
  readonly ownsAll: boolean
}

/**
 * Where a reversed range ends. The call that crosses it returns keys of the next range, too: those that a SCAN returns that
 * starts at the boundary and goes up to the same cursor.
 */
export interface Boundary {
  readonly start: string
  /** Whether one cursor lies before another. */
  before(cursor: string, other: string): boolean
  /**
   * Whether a table that is coarser than the ranges may have been walked: then a SCAN from the boundary starts in front of
   * it, and what it returns must not be taken for the next range's.
   */
  mayBeCoarse(cursor: string): boolean
}

const whole = 1n << 64n

/** Part `index` of `count` parts (a power of two) of the keys of some slots, or of all keys where there is no cluster. */
export function scanRangeOf(
  order: ScanOrder,
  index: number,
  count: number,
  cluster: boolean,
  slots: SlotRanges,
): ScanRange {
  const inSlots = slotFilter(slots)
  const everyKey = !cluster
  if (order === 'slots' && cluster) {
    const [first, end] = slotPart(slots, index, count)
    return {
      start: String(first),
      ends: (cursor) => cursor === '0' || (BigInt(cursor) & BigInt(slotCount - 1)) >= BigInt(end),
      ownsAll: false,
      owns: (key) => {
        const slot = slotOf(key)
        return slot >= first && slot < end && inSlots(slot)
      },
    }
  }
  const owns = (key: string | Uint8Array): boolean => everyKey || inSlots(slotOf(key))
  if (count === 1) return { start: '0', ends: (cursor) => cursor === '0', owns, ownsAll: everyKey }
  const width = whole / BigInt(count)
  const high = width * BigInt(index + 1)
  return {
    start: reversed(width * BigInt(index)).toString(),
    ends: (cursor) => placeOf(cursor) >= high,
    owns,
    ownsAll: everyKey,
    boundary:
      index + 1 === count
        ? undefined
        : {
            start: reversed(high).toString(),
            before: (cursor, other) => placeOf(cursor) < placeOf(other),
            mayBeCoarse: (cursor) => placeOf(cursor) % width === 0n,
          },
  }
}

/** Where a cursor stands in the walk: 2^64 is its end. */
function placeOf(cursor: string): bigint {
  return cursor === '0' ? whole : reversed(BigInt(cursor))
}

/** The bits of a 64-bit number in reverse order. */
export function reversed(value: bigint): bigint {
  return (BigInt(reversed32(Number(value & 0xffffffffn))) << 32n) | BigInt(reversed32(Number(value >> 32n)))
}

function reversed32(value: number): number {
  let bits = value
  bits = ((bits >>> 1) & 0x55555555) | ((bits & 0x55555555) << 1)
  bits = ((bits >>> 2) & 0x33333333) | ((bits & 0x33333333) << 2)
  bits = ((bits >>> 4) & 0x0f0f0f0f) | ((bits & 0x0f0f0f0f) << 4)
  bits = ((bits >>> 8) & 0x00ff00ff) | ((bits & 0x00ff00ff) << 8)
  return ((bits >>> 16) | (bits << 16)) >>> 0
}

function slotFilter(slots: SlotRanges): (slot: number) => boolean {
  const owned = new Uint8Array(slotCount)
  for (const [first, last] of slots) owned.fill(1, first, last + 1)
  return (slot) => owned[slot] === 1
}

/** Slots from `first` up to `end` (exclusive) that hold about one `count`th of the given ones. */
function slotPart(slots: SlotRanges, index: number, count: number): readonly [first: number, end: number] {
  const all = slots.flatMap(([first, last]) => Array.from({ length: last - first + 1 }, (_, i) => first + i))
  all.sort((a, b) => a - b)
  const at = (part: number): number => (part === 0 ? 0 : (all[Math.floor((part * all.length) / count)] ?? slotCount))
  return [at(index), index + 1 === count ? slotCount : at(index + 1)]
}
