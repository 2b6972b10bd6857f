// When two values are the same group key, and where that key goes. Keys keep their type (1 and '1' differ); objects are the
// same when their contents are: class instances as the plain objects that structured clone makes of them, properties,
// Map entries and Set members in any order.
import { types } from 'node:util'
import { PlanError } from '../errors.ts'
import { hashNumber, hashText } from './hash.ts'

/** A value that is `===` (as a Map compares) for keys that are the same, and for no others. */
export type Identity = string | number | bigint | boolean | null | undefined

// A string that starts with this is no key's own text: either an object's identity, or a key that starts with it, marked.
const escape = '\0'

// A seed for each type: the number 1, '1' and 1n spread independently. Text has 0: hashKey(text) is hashBytes(its UTF-8).
const seeds = { text: 0, number: 1, bigint: 2, other: 3, object: 4 } as const

/** The identity of a key. Throws PlanError PLAN_RECORD for a function, symbol or other value that cannot be a key. */
export function keyOf(key: unknown): Identity {
  switch (typeof key) {
    case 'string':
      return key.charCodeAt(0) === 0 ? `${escape}s${key}` : key
    case 'number':
      return key === 0 ? 0 : key
    case 'bigint':
    case 'boolean':
    case 'undefined':
      return key
    default:
      return key === null ? null : `${escape}o${describe(key, [])}`
  }
}

/** A stable hash of a key, unsigned 32 bits: equal for keys whose identity is, the same in every process. */
export function hashKey(key: unknown): number {
  switch (typeof key) {
    case 'string':
      return hashText(key)
    case 'number':
      return hashNumber(key, seeds.number)
    case 'bigint':
      return hashText(String(key), seeds.bigint)
    case 'boolean':
    case 'undefined':
      return hashText(String(key), seeds.other)
    default:
      return key === null ? hashText('null', seeds.other) : hashText(describe(key, []), seeds.object)
  }
}

// A text for each structure, different for different ones: every piece has its kind in front and its own end.
function describe(value: unknown, ancestors: object[]): string {
  switch (typeof value) {
    case 'string':
      return `s${value.length}:${value}`
    case 'number':
      return `n${value === 0 ? 0 : value};`
    case 'bigint':
      return `i${value};`
    case 'boolean':
      return value ? 'T' : 'F'
    case 'undefined':
      return 'U'
    case 'object':
      return value === null ? 'N' : describeObject(value, ancestors)
    default:
      throw new PlanError('PLAN_RECORD', `a key cannot be or hold a ${typeof value}`)
  }
}

function describeObject(value: object, ancestors: object[]): string {
  // A value inside of itself: how far up it is tells it apart.
  const above = ancestors.indexOf(value)
  if (above >= 0) return `^${above};`
  ancestors.push(value)
  try {
    return describeContents(value, ancestors)
  } finally {
    ancestors.pop()
  }
}

function describeContents(value: object, ancestors: object[]): string {
  const inner = (part: unknown): string => describe(part, ancestors)
  if (Array.isArray(value)) return listed('a', Array.from(value as unknown[], inner))
  if (value instanceof Date) return `d${value.getTime()};`
  if (value instanceof Map) return listed('m', Array.from(value, ([key, held]) => inner(key) + inner(held)).sort())
  if (value instanceof Set) return listed('t', Array.from(value, inner).sort())
  if (value instanceof RegExp) return `r${inner(value.source)}${value.flags};`
  if (value instanceof Error) return `e${inner(value.name)}${inner(value.message)}`
  if (types.isBoxedPrimitive(value)) return `b${inner(value.valueOf())}`
  if (types.isAnyArrayBuffer(value)) return `A${inner(latin1(new Uint8Array(value)))}`
  if (ArrayBuffer.isView(value)) return describeView(value)
  if (types.isPromise(value) || types.isProxy(value) || types.isWeakMap(value) || types.isWeakSet(value)) {
    throw new PlanError(
      'PLAN_RECORD',
      `a key cannot be or hold a ${Object.prototype.toString.call(value).slice(8, -1)}`,
    )
  }
  const fields = value as Readonly<Record<string, unknown>>
  const names = Object.keys(fields).sort()
  return listed(
    'o',
    names.map((name) => inner(name) + inner(fields[name])),
  )
}

function listed(kind: string, parts: readonly string[]): string {
  return `${kind}${parts.length}:${parts.join('')}`
}

function latin1(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('latin1')
}

// Views of one class with equal elements; a Buffer is the Uint8Array that it becomes when it travels.
function describeView(view: ArrayBufferView): string {
  const name = Buffer.isBuffer(view) ? 'Uint8Array' : Object.prototype.toString.call(view).slice(8, -1)
  const content =
    view instanceof Float32Array || view instanceof Float64Array
      ? Array.from(view, (value) => (value === 0 ? 0 : value)).join()
      : latin1(new Uint8Array(view.buffer, view.byteOffset, view.byteLength))
  return `v${name}:${content.length}:${content}`
}
