// The one order of all values, for sortBy, topK, min and max.
import { PlanError } from '../errors.ts'
import { keyOf } from './keys.ts'

// Values of different types, in this order. What is not named is an object.
const ranks = { boolean: 0, number: 1, string: 2, date: 3, array: 4, object: 5, null: 6, undefined: 7 } as const

/**
 * Negative, 0 or positive, as `Array.sort` wants it. Booleans (false first), numbers and bigints by their value (NaN after
 * them, a number before the bigint of the same value), strings by code unit, dates by time (invalid ones last), arrays item
 * by item, other objects by content in an order that is fixed but has no meaning, null, undefined. 0 means: the same key.
 * Throws PlanError PLAN_RECORD for functions and symbols.
 */
export function compareValues(a: unknown, b: unknown): number {
  if (typeof a === 'string' && typeof b === 'string') return a < b ? -1 : a > b ? 1 : 0
  if (typeof a === 'number' && typeof b === 'number') return compareNumbers(a, b)
  const rank = rankOf(a)
  const difference = rank - rankOf(b)
  if (difference !== 0) return difference
  switch (rank) {
    case ranks.number:
      return compareNumbers(a as number | bigint, b as number | bigint)
    case ranks.boolean:
      return Number(a) - Number(b)
    case ranks.date:
      return compareNumbers((a as Date).getTime(), (b as Date).getTime())
    case ranks.array:
      return compareArrays(a as readonly unknown[], b as readonly unknown[])
    case ranks.object:
      return compareValues(keyOf(a), keyOf(b))
    default:
      return 0
  }
}

function rankOf(value: unknown): number {
  switch (typeof value) {
    case 'boolean':
      return ranks.boolean
    case 'number':
    case 'bigint':
      return ranks.number
    case 'string':
      return ranks.string
    case 'undefined':
      return ranks.undefined
    case 'function':
    case 'symbol':
      throw new PlanError('PLAN_RECORD', `a ${typeof value} has no place in an order`)
    default:
      if (value === null) return ranks.null
      if (Array.isArray(value)) return ranks.array
      return value instanceof Date ? ranks.date : ranks.object
  }
}

function compareNumbers(a: number | bigint, b: number | bigint): number {
  if (a < b) return -1
  if (a > b) return 1
  if (a === b) return 0
  // Left: NaN, which nothing is equal to, and a number against the bigint of the same value.
  const nan = Number(Number.isNaN(a)) - Number(Number.isNaN(b))
  return nan !== 0 ? nan : Number(typeof a === 'bigint') - Number(typeof b === 'bigint')
}

function compareArrays(a: readonly unknown[], b: readonly unknown[]): number {
  const length = Math.min(a.length, b.length)
  for (let i = 0; i < length; i++) {
    const difference = compareValues(a[i], b[i])
    if (difference !== 0) return difference
  }
  return a.length - b.length
}
