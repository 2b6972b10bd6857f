// A mill's own workers, or a worker as a service: events, a supervisor, and what both need.
import { randomBytes } from 'node:crypto'
import { hostname, totalmem } from 'node:os'
import type { Deployment } from '../redis/deployment.ts'
import { GroupEvents } from './events.ts'
import type { LaneKeys } from './keys.ts'
import { lanesOf } from './lanes.ts'
import type { Logger } from './logger.ts'
import type { BlocksConfig, Fault, FromExecutor, Modules } from './protocol.ts'
import { Supervisor } from './supervisor.ts'

/** How long a task belongs to a worker that gives no sign of life, in milliseconds. */
export const defaultLeaseMs = 10_000
/** The group that `gearmill worker` serves unless told otherwise. */
export const remoteGroup = 'remote'

const topologyMs = 10_000

export interface WorkerOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly group: string
  readonly executors: number
  readonly leaseMs: number
  /** Memory limit of one executor, in MiB. Default: half of the machine's, shared by the executors, at least 512. */
  readonly executorMemoryMb?: number | undefined
  /** What tables and sorts of a task may take before they are spilled, in bytes. Default: by the memory limit. */
  readonly spillBytes?: number | undefined
  /** Runs scripts that any client of the server may submit. Default false. */
  readonly allowScripts?: boolean | undefined
  readonly blocks: BlocksConfig
  readonly modules: Modules
  readonly secret?: string | undefined
  /** URLs of further servers by name. */
  readonly stores?: Readonly<Record<string, string>> | undefined
  /** Rows and columns of a block where nothing else is said: see `matrix.blockSize` of the configuration. */
  readonly matrixBlockSize?: number | undefined
  /** File URL of where packages of shipped functions are resolved from. */
  readonly base: string
  readonly logger: Logger
  readonly console: (level: (FromExecutor & { type: 'log' })['level'], text: string) => void
  readonly fault?: Fault | undefined
  /** Shared with a client in the same process; made where there is none. */
  readonly events?: GroupEvents
}

/** The memory limit of one executor, or of one host of triggers or kernels, in MiB. */
export function executorMemoryMb({
  executors,
  executorMemoryMb,
}: Pick<WorkerOptions, 'executors' | 'executorMemoryMb'>): number {
  return executorMemoryMb ?? Math.round(Math.max(512, totalmem() / 1024 ** 2 / 2 / executors))
}

export interface Worker {
  readonly name: string
  readonly executorPids: readonly number[]
  readonly busyPids: readonly number[]
  /** Takes nothing new, lets tasks end for `graceMs`, hands back the rest, and stops. */
  drain(graceMs: number): Promise<void>
}

export { lanesOf }

/** Starts serving a group. Resolves when tasks are being taken. */
export async function startWorker(options: WorkerOptions): Promise<Worker> {
  const { deployment, namespace, group, logger, leaseMs, executors } = options
  const name = `${hostname()}.${process.pid}.${randomBytes(3).toString('hex')}`
  const events = options.events ?? new GroupEvents(deployment)
  const lanes = lanesOf(deployment, namespace, group)
  const follow = async (lane: LaneKeys): Promise<void> => {
    await events.follow(lane)
  }
  await Promise.all(lanes.map(follow))
  const supervisor = new Supervisor({
    deployment,
    lanes,
    worker: name,
    executors,
    leaseMs,
    memoryMb: executorMemoryMb(options),
    setup: {
      url: deployment.url,
      namespace,
      group,
      blocks: options.blocks,
      modules: options.modules,
      stores: options.stores,
      matrixBlockSize: options.matrixBlockSize,
      base: options.base,
      leaseMs,
      executors,
      allowScripts: options.allowScripts ?? false,
      spillBytes: options.spillBytes,
      ...(options.secret === undefined ? {} : { secret: options.secret }),
      ...(options.fault ? { fault: options.fault } : {}),
    },
    events,
    logger,
    console: options.console,
  })
  try {
    await supervisor.start()
  } catch (error) {
    await supervisor.drain(0)
    if (!options.events) await events.close()
    throw error
  }

  // Shards that join get lanes of their own; lanes that are served stay so.
  const watch = setInterval(() => {
    const grown = async (): Promise<void> => {
      await deployment.refresh()
      for (const lane of lanesOf(deployment, namespace, group)) {
        await events.follow(lane)
        await supervisor.addLane(lane)
      }
    }
    if (deployment.topology.cluster) grown().catch((error: unknown) => logger.warn(`topology: ${String(error)}`))
  }, topologyMs)
  watch.unref()

  return {
    name,
    get executorPids() {
      return supervisor.executorPids
    },
    get busyPids() {
      return supervisor.busyPids
    },
    async drain(graceMs) {
      clearInterval(watch)
      await supervisor.drain(graceMs)
      if (!options.events) await events.close()
    },
  }
}
