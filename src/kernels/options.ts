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

export function checkName(name: unknown, where: string): asserts name is string {
  if (!isKernelName(name)) refuse(where, 'a name of 1 to 128 letters, digits and _ $ . : / -', name)
}

export function checkId(id: string): void {
  if (!idRule.test(id)) refuse('start', 'an id of 1 to 128 letters, digits and _ . : -', id)
}

export function checkSource(source: unknown): asserts source is string {
  if (typeof source !== 'string' || source.trim() === '') refuse('set', 'a source text or a function', source)
  const bytes = Buffer.byteLength(source)
  if (bytes > longestSource) refuse('set', `a source of at most ${longestSource} bytes`, `${bytes} bytes`)
}

export function checkOptions(options: KernelOptions): KernelOptions {
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

/** Arguments as they travel: JSON and bytes; `undefined` is null. */
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
        Object.entries(value).map(([name, item]) => [name, valueOf(item, `${path}.${name}`, depth + 1)]),
      )
    }
  }
  refuse('start', `${path}: JSON or a Uint8Array`, value)
}

export function refuse(where: string, expected: string, got: unknown): never {
  throw new PlanError('PLAN_OPTION', `kernels.${where}: expected ${expected}, got ${show(got)}`)
}

function show(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 100))
  if (typeof value === 'object' && value !== null) return value.constructor?.name ?? 'an object'
  return typeof value === 'function' ? 'a function' : String(value)
}
