// A private server for one mill.
import { availableParallelism } from 'node:os'
import { ConfigError } from './errors.ts'
import { Mill, type MillOptions } from './mill.ts'
import { startCluster } from './server/cluster.ts'
import { startServer } from './server/standalone.ts'

export interface LocalOptions extends Omit<MillOptions, 'url' | 'workers'> {
  /** Primaries; more than 1 is a cluster. Default 1. */
  readonly shards?: number
  /** Keeps the data in this folder, with AOF (every second) and RDB. Default: nothing is kept. */
  readonly dir?: string
}

/**
 * Starts a private server (valkey-server or redis-server from PATH) and a mill with one executor per core on it. The server
 * ends with this process, however that ends.
 *
 * Throws `SERVER_NOT_FOUND`, `SERVER_START`, `CONFIG_*`.
 *
 * @example
 * await using mill = await local()
 */
export async function local(options: LocalOptions = {}): Promise<Mill> {
  const { shards = 1, dir, ...rest } = options
  if (!Number.isInteger(shards) || shards < 1 || shards > 64) {
    throw new ConfigError('CONFIG_INVALID', `shards: expected a whole number from 1 to 64, got ${String(shards)}`)
  }
  const settings = {
    ...(dir === undefined ? {} : { dir, persistence: 'both' as const }),
    ...(rest.signal ? { signal: rest.signal } : {}),
  }
  const server = shards === 1 ? await startServer(settings) : await startCluster({ ...settings, shards })
  return Mill.open({ executors: availableParallelism(), ...rest, url: server.url }, [server])
}
