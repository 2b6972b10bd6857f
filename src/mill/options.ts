// What connect() and local() take, and what is wrong with it.
import type { ConfigOptions } from '../config.ts'
import type { Logger } from '../engine/logger.ts'
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

/** Throws CONFIG_INVALID for what the configuration does not check. */
export function checkOptions({ workers, leaseMs, executorMemoryMb, checkpointEveryMs }: MillOptions): void {
  if (workers !== undefined && workers !== 'local' && workers !== 'remote') {
    throw new ConfigError('CONFIG_INVALID', `workers: expected 'local' or 'remote', got ${JSON.stringify(workers)}`)
  }
  const least = {
    leaseMs: [leaseMs, 500],
    executorMemoryMb: [executorMemoryMb, 64],
    checkpointEveryMs: [checkpointEveryMs, 10],
  }
  for (const [name, [value, from]] of Object.entries(least) as [string, [unknown, number]][]) {
    if (value === undefined || (Number.isInteger(value) && (value as number) >= from)) continue
    throw new ConfigError(
      'CONFIG_INVALID',
      `${name}: expected a whole number of at least ${from}, got ${JSON.stringify(value)}`,
    )
  }
}
