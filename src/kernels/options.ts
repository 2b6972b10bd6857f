// What can be said when a kernel is stored or a chain is started, checked.
import { PlanError } from '../errors.ts'
import { isKernelName } from './keys.ts'
import type { Value } from './step.ts'
import { isGrants, isParams, isWhole, longestSource, type KernelOptions } from './store.ts'

export interface StartOptions {
  readonly name: string
  readonly args?: readonly unknown[]
  /** The same id is the same chain, however often it is started. Default: a new one. */
  readonly id?: string
  /** The arguments are texts as from another client: read as the kernel declares. Default false: values. */
  readonly text?: boolean
}

const idRule = /^[\w.:-]{1,128}$/
const known = new Set(['trusted', 'timeoutMs', 'memoryMb', 'retries', 'params', 'grants'])
const startKnown = new Set(['name', 'args', 'id', 'text'])
/** Texts that a chain is started with: gm_start takes as many. */
const mostTexts = 999

export function checkName(name: unknown, where: string): asserts name is string {
  if (!isKernelName(name)) refuse(where, 'a name of 1 to 128 letters, digits and _ $ . : / -', name)
}

export function checkId(id: unknown, where: string): asserts id is string {
  if (typeof id !== 'string' || !idRule.test(id)) refuse(where, 'an id of 1 to 128 letters, digits and _ . : -', id)
}

export function checkStart(options: unknown): asserts options is StartOptions {
  const given = isObject(options) ? options : refuse('start', 'a name or { name, args, id, text }', options)
  for (const name of Object.keys(given)) {
    if (!startKnown.has(name)) refuse('start', `options ${[...startKnown].join(', ')}`, name)
  }
  const { name, args, id, text } = given as Partial<Record<keyof StartOptions, unknown>>
  checkName(name, 'start')
  if (id !== undefined) checkId(id, 'start')
  if (args !== undefined && !Array.isArray(args)) refuse('start', 'args: a list', args)
  if (text !== undefined && typeof text !== 'boolean') refuse('start', 'text: true or false', text)
}

/** Arguments as texts, as another client sends them. */
export function checkTexts(args: readonly unknown[]): string[] {
  if (args.length > mostTexts) refuse('start', `at most ${mostTexts} texts`, args.length)
  return args.map((arg, i) => (typeof arg === 'string' ? arg : refuse('start', `argument ${i + 1}: a text`, arg)))
}

/** How long somebody waits. */
export function checkWait(options: unknown): AbortSignal | undefined {
  if (options === undefined) return undefined
  const { signal } = isObject(options) ? (options as { readonly signal?: unknown }) : refuseWait(options)
  return signal === undefined || signal instanceof AbortSignal ? signal : refuseWait(signal)
}

const refuseWait = (got: unknown): never => refuse('chain.done', '{ signal }, an AbortSignal', got)

function isObject(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function checkSource(source: unknown): asserts source is string {
  if (typeof source !== 'string' || source.trim() === '') refuse('set', 'a source text or a function', source)
  const bytes = Buffer.byteLength(source)
  if (bytes > longestSource) refuse('set', `a source of at most ${longestSource} bytes`, `${bytes} bytes`)
}

export function checkOptions(options: KernelOptions): KernelOptions {
  if (!isObject(options)) refuse('set', `an object of options`, options)
  const { trusted, timeoutMs, memoryMb, retries, params, grants } = options
  for (const name of Object.keys(options)) {
    if (!known.has(name)) refuse('set', `options ${[...known].join(', ')}`, name)
  }
  if (trusted !== undefined && typeof trusted !== 'boolean') refuse('set', 'trusted: true or false', trusted)
  if (timeoutMs !== undefined && !isWhole(timeoutMs, 1, 86_400_000)) {
    refuse('set', 'timeoutMs: a whole number from 1 to 86400000', timeoutMs)
  }
  if (memoryMb !== undefined && !isWhole(memoryMb, 1, 65_536)) {
    refuse('set', 'memoryMb: a whole number from 1 to 65536', memoryMb)
  }
  if (retries !== undefined && !isWhole(retries, 0, 1000)) {
    refuse('set', 'retries: a whole number from 0 to 1000', retries)
  }
  if (params !== undefined && !isParams(params)) {
    refuse('set', "params: a list of 'string', 'number', 'json' and 'bytes'", params)
  }
  if (grants !== undefined && !isGrants(grants)) refuse('set', "grants: a list of 'random'", grants)
  // In one order: what is the same is the same text.
  return {
    ...(trusted === true ? { trusted } : {}),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
    ...(memoryMb === undefined ? {} : { memoryMb }),
    ...(retries === undefined ? {} : { retries }),
    ...(params === undefined ? {} : { params }),
    ...(grants === undefined ? {} : { grants }),
  }
}

/** Arguments as they travel: JSON and bytes; `undefined` is null, and in objects left out. */
export function checkArguments(args: readonly unknown[]): readonly Value[] {
  return args.map((arg, i) => valueOf(arg, `argument ${i + 1}`, 0))
}

function valueOf(value: unknown, path: string, depth: number): Value {
  if (value === undefined || value === null) return null
  if (depth > 200) refuse('start', 'arguments that are nested 200 deep at most', path)
  if (typeof value === 'string' || typeof value === 'boolean') return value
  if (typeof value === 'number') {
    if (!Number.isFinite(value)) refuse('start', `${path}: a finite number`, value)
    return value
  }
  if (value instanceof Uint8Array) return value
  if (Array.isArray(value)) return value.map((item, i) => valueOf(item, `${path}[${i}]`, depth + 1))
  if (typeof value === 'object') {
    const prototype: unknown = Object.getPrototypeOf(value)
    if (prototype === Object.prototype || prototype === null) {
      return Object.fromEntries(
        Object.entries(value)
          .filter(([, item]) => item !== undefined)
          .map(([name, item]) => [name, valueOf(item, `${path}.${name}`, depth + 1)]),
      )
    }
  }
  refuse('start', `${path}: JSON or a Uint8Array`, value)
}

export function refuse(where: string, expected: string, got: unknown): never {
  const call = where.includes('.') ? where : `kernels.${where}`
  throw new PlanError('PLAN_OPTION', `${call}: expected ${expected}, got ${show(got)}`)
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  if (typeof value === 'object' && value !== null) return value.constructor?.name ?? 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}
