// Reads kernels as they are stored: what the API wrote, or the value of the key of that name.
import { createHash } from 'node:crypto'
import type { Deployment, Reply } from '../redis/deployment.ts'
import { itemsOf, numberOf } from '../redis/replies.ts'
import { kernelKey } from './keys.ts'
import type { Grant, KernelSource, ParamType } from './step.ts'

export const defaultTimeoutMs = 1000
export const defaultMemoryMb = 64
/** Bytes of a source. */
export const longestSource = 1024 * 1024

/** What may be said of a kernel when it is stored. They are stored as JSON. */
export interface KernelOptions {
  /** Runs with all rights of the executor, at full speed, and signed where GEARMILL_SECRET is set. Default false: in the sandbox. */
  readonly trusted?: boolean
  /** Time that one step may take, in milliseconds. Default 1000. */
  readonly timeoutMs?: number
  /** Memory that one step may use in the sandbox, in MiB: 16 at least, 2048 at most. Default 64. */
  readonly memoryMb?: number
  /** How often a step that failed is tried again, at growing distances from 100 ms on. Default 0. */
  readonly retries?: number
  /** How arguments that come as text (from other clients, or from keys) are read. Default: what the source exports, or text. */
  readonly params?: readonly ParamType[]
  /** What the sandbox allows beyond arguments and a result. Default: nothing. */
  readonly grants?: readonly Grant[]
}

export interface StoredKernel extends KernelSource {
  readonly retries: number
}

/** What tells versions apart: source, options and signature. The server functions compute the same. */
export function versionOf(source: Uint8Array, options: string, signature: Uint8Array): string {
  return createHash('sha1').update(source).update('\0').update(options).update('\0').update(signature).digest('hex')
}

/** A version as people see it. */
export function shortVersion(hash: string): string {
  return hash.slice(0, 12)
}

/** Undefined where there is neither a kernel nor a text of that name. */
export async function readKernel(
  deployment: Deployment,
  namespace: string,
  name: string,
): Promise<StoredKernel | undefined> {
  const key = kernelKey(namespace, name)
  const reply = await deployment
    .command(key, ['HMGET', key, 'source', 'options', 'signature'], { binary: true })
    .catch(async (error: unknown) => {
      // A client's plain SET of it.
      if (!isWrongType(error)) throw error
      return [await textAt(deployment, key)]
    })
  const [source, options, signature] = itemsOf(reply)
  if (Buffer.isBuffer(source)) return kernelOf(name, source, options, signature)
  const bare = await textAt(deployment, name)
  return Buffer.isBuffer(bare) ? kernelOf(name, bare, null, null) : undefined
}

async function textAt(deployment: Deployment, key: string): Promise<Reply> {
  try {
    // Any client's key: what is too long is no kernel.
    if (numberOf(await deployment.command(key, ['STRLEN', key])) > longestSource) return null
    return await deployment.command(key, ['GET', key], { binary: true })
  } catch (error) {
    // A key of another type, or one that this user may not read, is no kernel.
    if (isWrongType(error) || String(error).includes('NOPERM')) return null
    throw error
  }
}

function isWrongType(error: unknown): boolean {
  return error instanceof Error && error.message.includes('WRONGTYPE')
}

function kernelOf(
  name: string,
  source: Buffer,
  options: Reply | undefined,
  signature: Reply | undefined,
): StoredKernel {
  const text = Buffer.isBuffer(options) ? options.toString() : ''
  const mark = Buffer.isBuffer(signature) ? signature : Buffer.alloc(0)
  const { trusted = false, timeoutMs, memoryMb, retries, params, grants } = optionsOf(text)
  return {
    name,
    source: source.toString(),
    hash: versionOf(source, text, mark),
    trusted,
    ...(mark.length === 0 ? {} : { signature: mark }),
    timeoutMs: timeoutMs ?? defaultTimeoutMs,
    memoryMb: memoryMb ?? defaultMemoryMb,
    retries: retries ?? 0,
    ...(params === undefined ? {} : { params }),
    ...(grants === undefined ? {} : { grants }),
  }
}

/** Whoever may write to the key may write anything there: what is no option counts as none. */
export function optionsOf(text: string): KernelOptions {
  let parsed: unknown
  try {
    parsed = text === '' ? {} : JSON.parse(text)
  } catch {
    parsed = {}
  }
  if (typeof parsed !== 'object' || parsed === null) return {}
  const { trusted, timeoutMs, memoryMb, retries, params, grants } = parsed as Record<string, unknown>
  return {
    ...(trusted === true ? { trusted } : {}),
    ...(isWhole(timeoutMs, 1, 86_400_000) ? { timeoutMs } : {}),
    ...(isWhole(memoryMb, 1, 65_536) ? { memoryMb } : {}),
    ...(isWhole(retries, 0, 1000) ? { retries } : {}),
    ...(isParams(params) ? { params } : {}),
    ...(isGrants(grants) ? { grants } : {}),
  }
}

export function isWhole(value: unknown, least: number, most: number): value is number {
  return typeof value === 'number' && Number.isInteger(value) && value >= least && value <= most
}

const paramTypes: readonly unknown[] = ['string', 'number', 'json', 'bytes'] satisfies ParamType[]

export function isParams(value: unknown): value is readonly ParamType[] {
  return Array.isArray(value) && [...(value as unknown[])].every((type) => paramTypes.includes(type))
}

const allGrants: readonly unknown[] = ['random'] satisfies Grant[]

export function isGrants(value: unknown): value is readonly Grant[] {
  return Array.isArray(value) && [...(value as unknown[])].every((grant) => allGrants.includes(grant))
}
