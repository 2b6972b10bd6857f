// Values of shared buffers as JSON can hold them: bytes and 64-bit integers as strings, sets and typed arrays as
// arrays, maps as objects or pairs.
import { BufferError } from '../errors.ts'

/** `toJSON` of views. Errors: `BUFFER_VALUE` for an object that holds itself. */
export function jsonOf(value: unknown, holders: ReadonlySet<unknown> = new Set()): unknown {
  if (typeof value === 'bigint') return String(value)
  if (typeof value !== 'object' || value === null || value instanceof Date) return value
  if (value instanceof Uint8Array) return Buffer.from(value.buffer, value.byteOffset, value.length).toString('base64')
  if (ArrayBuffer.isView(value)) return Array.from(value as unknown as Iterable<unknown>, (item) => jsonOf(item))
  if (holders.has(value)) throw new BufferError('BUFFER_VALUE', 'an object that holds itself has no form in JSON')
  const inside = new Set(holders).add(value)
  const inner = (item: unknown) => jsonOf(item, inside)
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
