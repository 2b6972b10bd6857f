// Values of shared buffers as JSON can hold them: bytes and 64-bit integers as strings, sets and typed arrays as
// arrays, maps as objects or pairs.
import { BufferError } from '../errors.ts'

/** Far below what the stack has room for, here and in JSON.stringify. */
const DEEPEST = 1000

/** `toJSON` of views. Errors: `BUFFER_VALUE` for an object that holds itself, or others more than 1,000 deep. */
export function jsonOf(value: unknown, holders = new Set<unknown>()): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, (item) => jsonOf(item))
  if (holders.has(value)) throw new BufferError('BUFFER_VALUE', 'an object that holds itself has no form in JSON')
  if (holders.size >= DEEPEST) {
    throw new BufferError('BUFFER_VALUE', `an object that is nested deeper than ${DEEPEST} has no form in JSON`)
  }
  holders.add(value)
  const json = containerJson(value, (item) => jsonOf(item, holders))
  holders.delete(value)
  return json
}

function containerJson(value: object, inner: (item: unknown) => unknown): unknown {
  if (Array.isArray(value) || value instanceof Set) return Array.from(value as Iterable<unknown>, inner)
  if (value instanceof Map) {
    const entries = [...(value as Map<unknown, unknown>)]
    const named = entries.every(([key]) => typeof key === 'string')
    return named
      ? Object.fromEntries(entries.map(([key, held]) => [key, inner(held)]))
      : entries.map(([key, held]) => [inner(key), inner(held)])
  }
  return Object.fromEntries(Object.entries(value).map(([key, held]) => [key, inner(held)]))
}
