// Keys of any type as members and fields of Redis, which are bytes.
import { PlanError } from '../../errors.ts'

/** Strings and bytes as they are, other primitives as their text. Objects are refused: their text says nothing. */
export function textOfValue(call: string, value: unknown): string | Uint8Array {
  if (typeof value === 'string' || value instanceof Uint8Array) return value
  if (typeof value === 'number' || typeof value === 'bigint' || typeof value === 'boolean' || value === null) {
    return String(value)
  }
  throw new PlanError('PLAN_RECORD', `${call}: expected text or a number to store, got a value of type ${typeof value}`)
}
