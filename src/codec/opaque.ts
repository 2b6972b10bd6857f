// Objects of the platform that keep what they hold where V8's serializer does not see it: it would make {} of a URL.
import { types } from 'node:util'

const opaqueNames = new Set(
  (
    'URL URLSearchParams Headers Request Response FormData AbortController AbortSignal TextDecoder TextEncoder Event EventTarget ' +
    'ReadableStream WritableStream TransformStream'
  ).split(' '),
)

type Kind = 'plain' | 'map' | 'set' | 'leaf' | 'opaque'

const kinds = new WeakMap<object, Kind>()

function kindBy(prototype: object): Kind {
  let kind = kinds.get(prototype)
  if (kind === undefined) kinds.set(prototype, (kind = kindOf(prototype)))
  return kind
}

function kindOf(prototype: object): Kind {
  for (let of: object | null = prototype; of !== null; of = Reflect.getPrototypeOf(of)) {
    if (of === Map.prototype) return 'map'
    if (of === Set.prototype) return 'set'
    if (of === Date.prototype || of === ArrayBuffer.prototype || of === DataView.prototype) return 'leaf'
    if (of === Uint8Array.prototype || Reflect.has(of, 'BYTES_PER_ELEMENT')) return 'leaf'
    const maker = Object.getOwnPropertyDescriptor(of, 'constructor')?.value as unknown
    if (typeof maker !== 'function' || !opaqueNames.has(maker.name)) continue
    if (Reflect.get(globalThis, maker.name) === maker) return 'opaque'
  }
  return 'plain'
}

/** So many objects of a record are looked at before it is kept in mind which were: most records are smaller, and no circles. */
const fewObjects = 1000
/** Longer arrays may be mostly holes. */
const longArray = 1_000_000

/** Whether there is one in a record. Not by recursion: what is too deep for V8 is for V8 to say. */
export function holdsOpaque(record: unknown): boolean {
  if (typeof record !== 'object' || record === null) return false
  const left: object[] = [record]
  let met: Set<object> | undefined
  for (let count = 1; left.length > 0; count++) {
    const value = left.pop() as object
    if (count > fewObjects) {
      met ??= new Set()
      if (met.has(value)) continue
      met.add(value)
    }
    const prototype: unknown = Object.getPrototypeOf(value)
    const kind = prototype === Object.prototype || prototype === null ? 'plain' : kindBy(prototype as object)
    if (kind === 'opaque') return true
    if (kind === 'leaf') continue
    if (kind === 'map' && types.isMap(value)) {
      for (const [key, inner] of value) {
        if (typeof key === 'object' && key !== null) left.push(key)
        if (typeof inner === 'object' && inner !== null) left.push(inner)
      }
    } else if (kind === 'set' && types.isSet(value)) {
      for (const inner of value) if (typeof inner === 'object' && inner !== null) left.push(inner)
    } else if (Array.isArray(value) && value.length <= longArray) {
      for (let i = 0; i < value.length; i++) {
        const inner: unknown = value[i]
        if (typeof inner === 'object' && inner !== null) left.push(inner)
      }
    } else {
      for (const name in value) {
        const inner = (value as Record<string, unknown>)[name]
        if (typeof inner === 'object' && inner !== null) left.push(inner)
      }
    }
  }
  return false
}
