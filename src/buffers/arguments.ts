// What users hand in besides values: paths, options, places. Checked where it comes in, for not everybody's compiler did.
import { resolve } from 'node:path'
import { BufferError } from '../errors.ts'
import { describeValue, isSchema } from './schema.ts'

function refuse(what: string, expected: string, value: unknown): never {
  const got = isSchema(value) ? 'a schema' : describeValue(value)
  throw new BufferError('BUFFER_OPTION', `${what}: expected ${expected}, got ${got}`)
}

/** The absolute form of a path. Errors: `BUFFER_OPTION`. */
export function absolutePath(path: unknown, what = 'path'): string {
  return typeof path === 'string' && path !== '' ? resolve(path) : refuse(what, 'a string', path)
}

/** Refuses options that are no object, and flags that are no booleans. Errors: `BUFFER_OPTION`. */
export function checkOptions(options: unknown, flags: readonly string[]): void {
  if (typeof options !== 'object' || options === null || isSchema(options)) refuse('options', 'an object', options)
  for (const flag of flags) {
    const value = (options as Readonly<Record<string, unknown>>)[flag]
    if (value !== undefined && typeof value !== 'boolean') refuse(flag, 'true or false', value)
  }
}

/** Errors: `BUFFER_OPTION`. */
export function checkSignal(signal: unknown): void {
  const { throwIfAborted } = Object(signal) as Partial<AbortSignal>
  if (signal !== undefined && typeof throwIfAborted !== 'function') refuse('signal', 'an AbortSignal', signal)
}

/** Errors: `BUFFER_OPTION` for what cannot be iterated over. */
export function checkIterable(value: unknown, what: string): void {
  const holder = Object(value) as Partial<Iterable<unknown> & AsyncIterable<unknown>>
  const iterates = holder[Symbol.asyncIterator] ?? holder[Symbol.iterator]
  if (typeof iterates !== 'function') refuse(what, 'an iterable, sync or async', value)
}

/** A place from 0 on; negative ones count from the end. Errors: `BUFFER_RANGE`. */
export function absolutePlace(place: unknown, length: number, path: string): number {
  const wanted = typeof place === 'number' && place < 0 ? place + length : place
  if (typeof wanted === 'number' && Number.isInteger(wanted) && wanted >= 0 && wanted < length) return wanted
  throw new BufferError('BUFFER_RANGE', `place ${describeValue(place)} of ${path}, which has ${length} objects`)
}
