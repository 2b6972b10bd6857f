// Keys of any type as members and fields of Redis, which are bytes, and what is refused as one.
import { PlanError } from '../../errors.ts'
import { brief } from '../shown.ts'

/** The properties of an object that has nothing but properties; of others (maps, dates, ...) they would say nothing. */
export function propertiesOf(value: object): readonly (readonly [string, unknown])[] | undefined {
  return Object.prototype.toString.call(value) === '[object Object]' ? Object.entries(value) : undefined
}

/** Strings and bytes as they are, other primitives as their text. Objects are refused: their text says nothing. */
export function textOfValue(call: string, value: unknown): string | Uint8Array {
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' || value === null) {
    return String(value)
  }
  throw new PlanError('PLAN_RECORD', `${call}: expected text or a number to store, got ${brief(value)}`)
}
