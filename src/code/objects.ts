// Encodes objects by what they are: containers, dates, buffers, errors, class instances; refuses what lives in this process only.
import { types } from 'node:util'
import { builtinReference, dataOf, unnamed } from './builtins.ts'
import type { Encoder } from './encoder.ts'
import { live, property, refuse, type Path } from './refuse.ts'
import type { Common, Property, Slot, WireNode } from './wire.ts'

/** Encodes one object that is neither a function nor a module. */
export function encodeObject(encoder: Encoder, value: object, path: Path): WireNode {
  const owner = prototypeOwner(value)
  if (owner !== undefined) return encodePrototype(encoder, value, owner, path)
  refuseLive(encoder, value, path)
  if (Array.isArray(value)) return encodeArray(encoder, value, path)
  const special = encodeSpecial(encoder, value, path)
  if (special !== undefined) return special
  return { kind: 'object', ...common(encoder, value, path, Object.prototype) }
}

/** The function whose `prototype` this object is. */
function prototypeOwner(value: object): object | undefined {
  const constructor = dataOf(value, 'constructor')
  return typeof constructor === 'function' && dataOf(constructor, 'prototype') === value ? constructor : undefined
}

function encodePrototype(encoder: Encoder, value: object, owner: object, path: Path): WireNode {
  const of = encoder.slot(owner, property(path, 'constructor'))
  if (of === null || typeof of !== 'object' || of[0] !== '#') return { kind: 'prototype', of }
  const props = encoder.properties(
    value,
    path,
    (key, descriptor) => key === 'constructor' || encoder.functions.isWrittenIn(owner, descriptor, 'prototype'),
  )
  return {
    kind: 'prototype',
    of,
    ...prototypePart(encoder, value, path, Object.prototype),
    ...(props.length > 0 && { props }),
  }
}

function prototypePart(encoder: Encoder, value: object, path: Path, usual: object | null): Pick<Common, 'proto'> {
  const proto = Reflect.getPrototypeOf(value)
  return proto === usual ? {} : { proto: encoder.slot(proto, property(path, '__proto__')) }
}

function common(
  encoder: Encoder,
  value: object,
  path: Path,
  usual: object | null,
  skip: (key: string | symbol, descriptor: PropertyDescriptor) => boolean = () => false,
): Common {
  const props = encoder.properties(value, path, skip)
  return { ...prototypePart(encoder, value, path, usual), ...(props.length > 0 && { props }), ...lockOf(value) }
}

export function lockOf(value: object): Pick<Common, 'lock'> {
  if (Object.isExtensible(value)) return {}
  return { lock: Object.isFrozen(value) ? 'frozen' : Object.isSealed(value) ? 'sealed' : 'closed' }
}

const liveKinds: readonly (readonly [(value: unknown) => boolean, string])[] = [
  [types.isPromise, 'Promise'],
  [types.isWeakMap, 'WeakMap'],
  [types.isWeakSet, 'WeakSet'],
  [types.isGeneratorObject, 'generator'],
  [types.isMapIterator, 'iterator'],
  [types.isSetIterator, 'iterator'],
  [types.isSharedArrayBuffer, 'SharedArrayBuffer'],
  [types.isExternal, 'native object'],
  [types.isKeyObject, 'KeyObject'],
  [types.isCryptoKey, 'CryptoKey'],
]

// Classes of the platform whose instances are nothing but values.
const transparentNames =
  'Object Array Map Set Date RegExp ArrayBuffer DataView Buffer URL URLSearchParams TextDecoder TextEncoder Uint8Array Int8Array Uint8ClampedArray Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array BigInt64Array BigUint64Array Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError Number String Boolean Symbol BigInt Function'
const intlNames = [
  'DateTimeFormat',
  'NumberFormat',
  'Collator',
  'PluralRules',
  'Segmenter',
  'ListFormat',
  'RelativeTimeFormat',
  'DisplayNames',
] as const
const transparent: ReadonlySet<unknown> = new Set([
  unnamed['%TypedArray%'],
  ...transparentNames.split(' ').map((name): unknown => Reflect.get(globalThis, name)),
  ...intlNames.map((name) => Intl[name]),
])

function refuseLive(encoder: Encoder, value: object, path: Path): void {
  for (const [is, name] of liveKinds) if (is(value)) throw refuse('CAPTURE_UNSUPPORTED', path, live(name))
  for (let proto = Reflect.getPrototypeOf(value); proto !== null; proto = Reflect.getPrototypeOf(proto)) {
    const maker = dataOf(proto, 'constructor')
    if (typeof maker !== 'function' || transparent.has(maker)) continue
    if (builtinReference(maker) !== undefined || encoder.functions.isInternal(maker)) {
      throw refuse('CAPTURE_UNSUPPORTED', path, live(liveName(value, maker)))
    }
    if (encoder.functions.hasPrivateMembers(maker)) {
      throw refuse('CAPTURE_PRIVATE', path, `an instance of ${maker.name || 'a class'}, which has #private members`)
    }
  }
}

function liveName(value: object, maker: object): string {
  const own = dataOf(Reflect.getPrototypeOf(value) ?? value, 'constructor')
  const name = typeof own === 'function' ? own.name : dataOf(maker, 'name')
  return typeof name === 'string' && name !== '' ? name : 'native object'
}

const isIndex = (key: string | symbol): boolean => typeof key === 'string' && /^(?:0|[1-9]\d*)$/.test(key)

function encodeArray(encoder: Encoder, value: readonly unknown[], path: Path): WireNode {
  const items: Slot[] = []
  // Read directly, as a descriptor per element takes ten times as long.
  for (let at = 0; at < value.length; at++) {
    items.push(Object.hasOwn(value, at) ? encoder.item(value[at], path, at) : ['h'])
  }
  const rest = common(encoder, value, path, Array.prototype, (key) => key === 'length' || isIndex(key))
  return { kind: 'array', items, ...rest }
}

function encodeSpecial(encoder: Encoder, value: object, path: Path): WireNode | undefined {
  const rest = (usual: object, skip?: (key: string | symbol) => boolean): Common =>
    common(encoder, value, path, usual, skip)
  if (types.isMap(value)) {
    const entries = [...Map.prototype.entries.call(value)].map(([key, item]): readonly [Slot, Slot] => {
      const inner = property(path, typeof key === 'string' ? key : '<key>')
      return [encoder.slot(key, inner), encoder.slot(item, inner)]
    })
    return { kind: 'map', entries, ...rest(Map.prototype) }
  }
  if (types.isSet(value)) {
    const items = [...Set.prototype.values.call(value)].map((item, at) =>
      encoder.slot(item, property(path, String(at))),
    )
    return { kind: 'set', items, ...rest(Set.prototype) }
  }
  if (types.isDate(value))
    return { kind: 'date', time: encoder.slot(Date.prototype.getTime.call(value), path), ...rest(Date.prototype) }
  if (types.isRegExp(value)) {
    const { source, flags, lastIndex } = value
    return { kind: 'regexp', source, flags, lastIndex, ...rest(RegExp.prototype, (key) => key === 'lastIndex') }
  }
  if (types.isNativeError(value)) return encodeError(encoder, value, path)
  if (types.isAnyArrayBuffer(value)) {
    return {
      kind: 'bytes',
      blob: encoder.blob(new Uint8Array(value as ArrayBuffer).slice()),
      ...rest(ArrayBuffer.prototype),
    }
  }
  if (ArrayBuffer.isView(value)) return encodeView(encoder, value, path)
  if (types.isBoxedPrimitive(value)) {
    const primitive: unknown = value.valueOf()
    const usual = Reflect.getPrototypeOf(Object(primitive) as object) ?? Object.prototype
    const isOwn = (key: string | symbol): boolean => typeof primitive === 'string' && (key === 'length' || isIndex(key))
    return { kind: 'boxed', value: encoder.slot(primitive, path), ...rest(usual, isOwn) }
  }
  if (value instanceof URL) return { kind: 'url', text: value.href }
  if (value instanceof URLSearchParams) return { kind: 'query', text: value.toString() }
  if (value instanceof TextEncoder) return { kind: 'encoder' }
  if (value instanceof TextDecoder) {
    const { encoding, fatal, ignoreBOM } = value
    return { kind: 'decoder', encoding, fatal, ignoreBOM }
  }
  for (const name of intlNames) {
    if (!(value instanceof Intl[name])) continue
    const { locale, ...options } = value.resolvedOptions() as { readonly locale: string }
    return { kind: 'intl', name, locale, options: encoder.slot(options, path) }
  }
  return undefined
}

function encodeError(encoder: Encoder, value: Error, path: Path): WireNode {
  const props: Property[] = []
  // The stack is text made by the engine, with a getter of its own on newer versions.
  if (typeof value.stack === 'string') props.push(['stack', value.stack, 5])
  props.push(...encoder.properties(value, path, (key) => key === 'stack'))
  return { kind: 'error', ...prototypePart(encoder, value, path, Error.prototype), props, ...lockOf(value) }
}

function encodeView(encoder: Encoder, value: ArrayBufferView, path: Path): WireNode {
  if (Buffer.isBuffer(value)) {
    // Small Buffers share a pool with others: only their own bytes travel.
    return { kind: 'buffer', blob: encoder.blob(new Uint8Array(value)) }
  }
  const name = types.isDataView(value) ? 'DataView' : (value as Uint8Array)[Symbol.toStringTag]
  const usual = (Reflect.get(globalThis, name) as { readonly prototype: object }).prototype
  const length = types.isDataView(value) ? value.byteLength : (value as Uint8Array).length
  return {
    kind: 'view',
    name,
    of: encoder.slot(value.buffer, property(path, 'buffer')),
    offset: value.byteOffset,
    length,
    // Not its other properties: listing them would make a string per element.
    ...prototypePart(encoder, value, path, usual),
  }
}
