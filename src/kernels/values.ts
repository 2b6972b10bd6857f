// Values on their way into the sandbox and out of it, as JSON: bytes are `{ "$gm": "<one character a byte>" }`, and an object
// that has that key itself is `{ "$gm": { ... } }`.
import { GearmillError } from '../errors.ts'
import type { Value } from './step.ts'

const mark = '$gm'
/** Somewhat more than a kernel may give back. */
const deepest = 250

/** How createKernelApi() marks bytes inside of the sandbox; its source text is used there. */
export function markBytes(bytes: Uint8Array): object {
  let text = ''
  for (let i = 0; i < bytes.length; i += 8192) text += String.fromCharCode(...bytes.subarray(i, i + 8192))
  return { $gm: text }
}

/** How it tells an object from bytes. */
export function markObject(object: object): object {
  return '$gm' in object ? { $gm: object } : object
}

/** What JSON.stringify() should be given for a value. */
export function packValue(value: Value, depth = 0): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (depth > deepest) throw tooDeep()
  if (value instanceof Uint8Array) return { [mark]: Buffer.from(value).toString('latin1') }
  if (Array.isArray(value)) return (value as readonly Value[]).map((each) => packValue(each, depth + 1))
  const packed: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    if (item === undefined) continue
    if (key === '__proto__') define(packed, key, packValue(item, depth + 1))
    else packed[key] = packValue(item, depth + 1)
  }
  return mark in packed ? { [mark]: packed } : packed
}

/** The value behind what JSON.parse() gave. The text came from the sandbox, where anyone may have made it. */
export function unpackValue(packed: unknown, depth = 0): Value {
  if (typeof packed !== 'object' || packed === null) return packed as Value
  if (depth > deepest) throw tooDeep()
  if (Array.isArray(packed)) return (packed as unknown[]).map((each) => unpackValue(each, depth + 1))
  const marked: unknown = Object.hasOwn(packed, mark) ? Reflect.get(packed, mark) : undefined
  if (typeof marked === 'string') return Buffer.from(marked, 'latin1')
  const object = typeof marked === 'object' && marked !== null ? marked : packed
  const value: Record<string, Value> = {}
  for (const [key, item] of Object.entries(object)) {
    if (key === '__proto__') define(value, key, unpackValue(item, depth + 1))
    else value[key] = unpackValue(item, depth + 1)
  }
  return value
}

function define(object: object, key: string, value: unknown): void {
  Object.defineProperty(object, key, { value, enumerable: true, writable: true, configurable: true })
}

const tooDeep = (): GearmillError => new GearmillError('KERNEL_STACK', `a value is nested more than ${deepest} deep`)
