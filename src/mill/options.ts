// What connect() and local() take, and what is wrong with it.
import { inspect } from 'node:util'
import type { ConfigOptions } from '../config.ts'
import { silent, type Logger } from '../engine/logger.ts'
import type { Fault } from '../engine/protocol.ts'
import { ConfigError } from '../errors.ts'

/** Options of `connect` and `local`; what is left out comes from the environment, gearmill.config.json, or defaults. */
export interface MillOptions extends ConfigOptions {
  /** `'local'`: this process supervises executors of its own. `'remote'`: `gearmill worker` processes run the tasks. Default `'local'`. */
  readonly workers?: 'local' | 'remote'
  /** Where the mill says what happens. Default: warnings and errors on stderr. */
  readonly logger?: Logger
  /** Closes the mill. */
  readonly signal?: AbortSignal
  /** How long a task belongs to a worker that gives no sign of life, in milliseconds, at least 500. Default 10,000. */
  readonly leaseMs?: number
  /** Memory limit of one executor, in MiB. Default: half of the machine's memory, shared by the executors. */
  readonly executorMemoryMb?: number
  /** Has the server save a checkpoint (BGSAVE) so often, in milliseconds. Default: never. */
  readonly checkpointEveryMs?: number
  /** Makes executors die at a certain point, to test what survives it. */
  readonly fault?: Fault
}

export interface LocalOptions extends Omit<MillOptions, 'url' | 'workers'> {
  /** Primaries; more than 1 is a cluster. Default 1. */
  readonly shards?: number
  /** Keeps the data in this folder, with AOF (every second) and RDB. Default: nothing is kept. */
  readonly dir?: string
}

const ownOptions = ['workers', 'logger', 'signal', 'leaseMs', 'executorMemoryMb', 'checkpointEveryMs', 'fault'] as const

/** The part of the options that is configuration. */
export function configurationOf(options: MillOptions): ConfigOptions {
  const rest: Record<string, unknown> = { ...options }
  for (const name of ownOptions) delete rest[name]
  return rest
}

/** What connect() was given, as options alone. Throws CONFIG_INVALID. */
export function connectOptions(url: unknown, options: unknown): MillOptions {
  const second = options === undefined ? {} : objectOf('options', options)
  if (url === undefined) return second
  if (typeof url !== 'object') return { ...second, url: url as string }
  if (url instanceof URL) return { ...second, url: url.href }
  return { ...objectOf('options', url), ...second }
}

/** What local() was given. Throws CONFIG_INVALID. */
export function localOptions(options: unknown): LocalOptions {
  const given = options === undefined ? {} : objectOf('options', options)
  if ('url' in given) {
    throw new ConfigError('CONFIG_INVALID', 'local() starts a server of its own: connect() takes a url')
  }
  checkSignal(given.signal)
  return given
}

function objectOf(what: string, value: unknown): MillOptions {
  if (typeof value === 'object' && value !== null && !Array.isArray(value)) return value
  throw new ConfigError('CONFIG_INVALID', `${what}: expected an object, got ${inspect(value)}`)
}

function checkSignal(signal: unknown): void {
  if (signal === undefined || signal instanceof AbortSignal) return
  throw new ConfigError('CONFIG_INVALID', `signal: expected an AbortSignal, got ${inspect(signal, { depth: 0 })}`)
}

function checkLogger(logger: unknown): void {
  if (logger === undefined) return
  for (const level of Object.keys(silent)) {
    const has = typeof logger === 'object' && logger !== null && typeof Reflect.get(logger, level) === 'function'
    if (!has) throw new ConfigError('CONFIG_INVALID', `logger: expected an object with a method '${level}'`)
  }
}

/** The longest time that a timer can have. */
const longestMs = 2 ** 31 - 1

/** Throws CONFIG_INVALID for what the configuration does not check. */
export function checkOptions(options: MillOptions): void {
  const { workers, leaseMs, executorMemoryMb, checkpointEveryMs } = options
  checkSignal(options.signal)
  checkLogger(options.logger)
  if (workers !== undefined && workers !== 'local' && workers !== 'remote') {
    throw new ConfigError('CONFIG_INVALID', `workers: expected 'local' or 'remote', got ${inspect(workers)}`)
  }
  checkWhole('leaseMs', leaseMs, 500, longestMs)
  checkWhole('executorMemoryMb', executorMemoryMb, 64, Number.MAX_SAFE_INTEGER)
  checkCheckpoints(checkpointEveryMs)
}

/** Throws CONFIG_INVALID. */
export function checkCheckpoints(everyMs: unknown): void {
  checkWhole('checkpointEveryMs', everyMs, 10, longestMs)
}

function checkWhole(name: string, value: unknown, from: number, to: number): void {
  if (value === undefined || (Number.isInteger(value) && (value as number) >= from && (value as number) <= to)) return
  const message = `${name}: expected a whole number from ${from} to ${to}, got ${inspect(value)}`
  throw new ConfigError('CONFIG_INVALID', message)
}
