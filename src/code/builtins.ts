// Everything that each Node process has by itself: globals by their path, builtin modules' exports by specifier and name.
import { builtinModules } from 'node:module'

export type BuiltinReference =
  | { readonly kind: 'global'; readonly path: readonly string[] }
  | { readonly kind: 'module'; readonly specifier: string; readonly path: readonly string[] }

const languageGlobals =
  'globalThis Object Function Array Number parseFloat parseInt Infinity NaN undefined Boolean String Symbol Date Promise RegExp Error AggregateError EvalError RangeError ReferenceError SyntaxError TypeError URIError JSON Math Intl ArrayBuffer Atomics Uint8Array Int8Array Uint16Array Int16Array Uint32Array Int32Array Float32Array Float64Array Uint8ClampedArray BigUint64Array BigInt64Array DataView Map BigInt Set WeakMap WeakSet WeakRef Proxy Reflect FinalizationRegistry decodeURI decodeURIComponent encodeURI encodeURIComponent escape unescape eval isFinite isNaN SharedArrayBuffer WebAssembly Iterator SuppressedError DisposableStack AsyncDisposableStack Float16Array console'
const nodeGlobals =
  'process global Buffer clearImmediate setImmediate URL URLSearchParams URLPattern DOMException AbortController AbortSignal Event EventTarget TextEncoder TextDecoder TransformStream TransformStreamDefaultController WritableStream WritableStreamDefaultController WritableStreamDefaultWriter ReadableStream ReadableStreamDefaultReader ReadableStreamBYOBReader ReadableStreamBYOBRequest ReadableByteStreamController ReadableStreamDefaultController ByteLengthQueuingStrategy CountQueuingStrategy TextEncoderStream TextDecoderStream CompressionStream DecompressionStream clearInterval clearTimeout setInterval setTimeout queueMicrotask structuredClone atob btoa BroadcastChannel MessageChannel MessagePort MessageEvent Blob File Performance PerformanceEntry PerformanceMark PerformanceMeasure PerformanceObserver PerformanceObserverEntryList PerformanceResourceTiming performance fetch FormData Headers Request Response WebSocket EventSource CloseEvent crypto Crypto CryptoKey SubtleCrypto CustomEvent Navigator navigator Storage'

// Loaded by Node at their first use: reading them only to know them would cost tens of milliseconds.
const lazyGlobals = new Set(
  'crypto Crypto CryptoKey SubtleCrypto FormData Headers Request Response MessageEvent WebSocket EventSource CloseEvent CompressionStream DecompressionStream navigator Navigator Storage'.split(
    ' ',
  ),
)

/** Names of globals that every Node process has; others were put there by the program. */
export const globalNames: ReadonlySet<string> = new Set(`${languageGlobals} ${nodeGlobals}`.split(' '))

/** Objects of the language that have no name, by the name the specification gives them. */
export const unnamed: Readonly<Record<string, object>> = (() => {
  const prototypeOf = (value: object): object => Object.getPrototypeOf(value) as object
  function* generator(): Generator<undefined> {}
  async function* asyncGenerator(): AsyncGenerator<undefined> {}
  const AsyncFunction = prototypeOf(async () => undefined)
  return {
    '%TypedArray%': prototypeOf(Uint8Array),
    '%AsyncFunction%': AsyncFunction.constructor,
    '%AsyncFunction.prototype%': AsyncFunction,
    '%GeneratorFunction%': prototypeOf(generator).constructor,
    '%GeneratorFunction.prototype%': prototypeOf(generator),
    '%AsyncGeneratorFunction%': prototypeOf(asyncGenerator).constructor,
    '%AsyncGeneratorFunction.prototype%': prototypeOf(asyncGenerator),
    '%Generator.prototype%': (generator.prototype as object) && prototypeOf(generator.prototype as object),
    '%AsyncGenerator.prototype%': prototypeOf(asyncGenerator.prototype as object),
  }
})()

const isObject = (value: unknown): value is object =>
  (typeof value === 'object' && value !== null) || typeof value === 'function'

/** A property's value, without running a getter. */
export function dataOf(object: object, key: PropertyKey): unknown {
  return Reflect.getOwnPropertyDescriptor(object, key)?.value as unknown
}

const keyOf = (key: string | symbol): string | undefined => {
  if (typeof key === 'string') return key
  return key.description?.startsWith('Symbol.') ? `@@${key.description.slice('Symbol.'.length)}` : undefined
}

/**
 * Whether an object is a place for functions (path.posix, util.types). Plain data (process.argv) goes by value, but not
 * process.env: the secrets in it must not leave the machine unasked.
 */
const isPlace = (value: object): boolean =>
  value === process.env || Reflect.ownKeys(value).some((key) => typeof dataOf(value, key) === 'function')

class Registry {
  readonly table = new Map<object, BuiltinReference>()
  readonly modulesSeen: number

  constructor() {
    const loaded = loadedModules()
    this.modulesSeen = loaded.length
    this.#add(globalThis, { kind: 'global', path: [] })
    for (const [name, value] of Object.entries(unnamed)) this.#tree(value, { kind: 'global', path: [name] }, 2)
    for (const name of globalNames) {
      const value: unknown = lazyGlobals.has(name) ? dataOf(globalThis, name) : Reflect.get(globalThis, name)
      if (isObject(value) && value !== globalThis) this.#tree(value, { kind: 'global', path: [name] }, 2)
    }
    for (const id of loaded) {
      const exported: unknown = process.getBuiltinModule(id)
      if (isObject(exported))
        this.#tree(exported, { kind: 'module', specifier: `node:${id.replace(/^node:/, '')}`, path: [] }, 2)
    }
  }

  addLazy(): void {
    for (const name of lazyGlobals) {
      const value: unknown = name === 'Storage' ? undefined : Reflect.get(globalThis, name)
      if (isObject(value)) this.#tree(value, { kind: 'global', path: [name] }, 2)
    }
  }

  #add(value: object, reference: BuiltinReference): boolean {
    if (this.table.has(value)) return false
    this.table.set(value, reference)
    return true
  }

  #tree(value: object, reference: BuiltinReference, depth: number): void {
    if (!this.#add(value, reference) || depth === 0) return
    for (const key of Reflect.ownKeys(value)) {
      const name = keyOf(key)
      if (name === undefined || key === 'constructor') continue
      const inner = dataOf(value, key)
      if (typeof inner === 'function' || (isObject(inner) && (key === 'prototype' || (depth > 1 && isPlace(inner))))) {
        this.#tree(inner, { ...reference, path: [...reference.path, name] }, key === 'prototype' ? 1 : depth - 1)
      }
    }
  }
}

// Modules that nothing has loaded cannot have given anyone a value, and loading them all would cost tens of milliseconds.
function loadedModules(): readonly string[] {
  const list = (process as { readonly moduleLoadList?: readonly string[] }).moduleLoadList
  if (list === undefined) return builtinModules.filter((id) => !id.startsWith('_'))
  const loaded = new Set(list)
  return builtinModules.filter((id) => !id.startsWith('_') && loaded.has(`NativeModule ${id}`))
}

let registry: Registry | undefined
let lengthSeen = -1

/** The name by which every process reaches this object, if it has one. Call `refreshBuiltins` once per capture first. */
export function builtinReference(value: object): BuiltinReference | undefined {
  registry ??= new Registry()
  return registry.table.get(value)
}

let lazyAdded: Registry | undefined

/** The same for what is part of Node for certain, but was not found at once. */
export function rareBuiltinReference(value: object): BuiltinReference | undefined {
  registry ??= new Registry()
  if (lazyAdded !== registry) registry.addLazy()
  lazyAdded = registry
  return registry.table.get(value)
}

export function refreshBuiltins(): void {
  const length = (process as { readonly moduleLoadList?: readonly string[] }).moduleLoadList?.length ?? 0
  if (length === lengthSeen) return
  lengthSeen = length
  if (registry !== undefined && registry.modulesSeen !== loadedModules().length) registry = undefined
}
