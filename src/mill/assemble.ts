// Builds a mill's parts: connection, events, blocks, engine, workers.
import { randomBytes } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import type { BlockStore } from '../blocks/store.ts'
import { temporaryBlocks } from '../blocks/temporary-blocks.ts'
import { loadConfig, type Config } from '../config.ts'
import { EngineClient } from '../engine/client.ts'
import { GroupEvents } from '../engine/events.ts'
import { silent, type Logger } from '../engine/logger.ts'
import { openBlocks } from '../engine/open-blocks.ts'
import type { BlocksConfig } from '../engine/protocol.ts'
import { defaultLeaseMs, lanesOf, remoteGroup, startWorker, type Worker } from '../engine/worker.ts'
import { connectDeployment } from '../redis/connect.ts'
import type { Deployment } from '../redis/deployment.ts'
import { userRedis, type UserRedis } from '../redis/user.ts'
import type { KernelService } from '../kernels/service.ts'
import { modules } from './modules.ts'
import { serveKernels } from './serve-kernels.ts'
import { serveTriggers } from './serve-triggers.ts'
import type { TriggerService } from '../triggers/service.ts'
import { checkOptions, configurationOf, type MillOptions } from './options.ts'

/** Blocks of remote work that nobody removed are gone after this. */
const blockTtlMs = 24 * 60 * 60 * 1000

const stderrLogger: Logger = {
  ...silent,
  warn: (message) => console.warn(`gearmill: ${message}`),
  error: (message) => console.error(`gearmill: ${message}`),
}

export interface MillParts {
  readonly deployment: Deployment
  readonly engine: EngineClient
  readonly events: GroupEvents
  readonly worker: Worker | undefined
  readonly service: TriggerService | undefined
  readonly kernels: KernelService | undefined
  readonly blocks: BlockStore
  readonly redis: UserRedis
  readonly config: Config
  readonly logger: Logger
  readonly known: Map<object, string>
  readonly leaseMs: number
}

export async function assemble(options: MillOptions): Promise<MillParts> {
  const { signal } = options
  checkOptions(options)
  signal?.throwIfAborted()
  const { config } = loadConfig(configurationOf(options))
  const deployment = await connectDeployment(config.url, { ...(signal ? { signal } : {}) })
  const opened: (() => Promise<unknown>)[] = [() => deployment.close()]
  try {
    return await connected(options, config, deployment, opened)
  } catch (error) {
    // The last opened first; what goes wrong here is not what went wrong.
    for (const close of opened.reverse()) await close().catch(() => undefined)
    throw error
  }
}

async function connected(
  options: MillOptions,
  config: Config,
  deployment: Deployment,
  opened: (() => Promise<unknown>)[],
): Promise<MillParts> {
  const { workers = 'local', logger = stderrLogger, leaseMs = defaultLeaseMs } = options
  const { namespace, executors } = config
  const events = new GroupEvents(deployment)
  opened.push(() => events.close())
  const local = workers === 'local'
  const group = local ? `local-${process.pid}-${randomBytes(4).toString('hex')}` : remoteGroup
  const lanes = lanesOf(deployment, namespace, group)
  await Promise.all(lanes.map((lane) => events.follow(lane)))
  const { store: blocks, config: blocksConfig } = await blocksOf(config, local, deployment)
  opened.push(() => blocks.close())
  const known = new Map<object, string>()
  const engine = new EngineClient({
    deployment,
    namespace,
    group,
    lanes,
    blocks,
    events,
    known,
    local: local ? { executors, leaseMs } : undefined,
    jobs: config.jobs,
    secret: config.secret,
  })
  opened.push(() => engine.close())
  const serving = {
    deployment,
    namespace,
    group,
    executors,
    leaseMs,
    allowScripts: config.allowScripts,
    executorMemoryMb: options.executorMemoryMb,
    blocks: blocksConfig,
    modules: modules(),
    secret: config.secret,
    stores: config.stores,
    matrixBlockSize: config.matrix.blockSize,
    base: pathToFileURL(`${process.cwd()}/`).href,
    logger,
    console: (level: 'log' | 'info' | 'warn' | 'error' | 'debug', text: string) => console[level](text),
    fault: options.fault,
    events,
  }
  const worker = local ? await startWorker(serving) : undefined
  if (worker) opened.push(() => worker.drain(0))
  const service = worker && (await serveTriggers(worker.name, serving))
  const kernels = worker && serveKernels(worker.name, serving, config.jobs.keepMs)
  const redis = userRedis(deployment)
  return { deployment, engine, events, worker, service, kernels, blocks, redis, config, logger, known, leaseMs }
}

/** Local workers share a directory with their client; remote ones do if the configuration names one. */
async function blocksOf(
  config: Config,
  local: boolean,
  deployment: Deployment,
): Promise<{ store: BlockStore; config: BlocksConfig }> {
  const { dir } = config.blocks
  if (local && dir === undefined) {
    const store = await temporaryBlocks()
    return { store, config: { kind: 'files', dir: store.dir } }
  }
  const chosen: BlocksConfig = dir === undefined ? { kind: 'redis', ttlMs: blockTtlMs } : { kind: 'files', dir }
  return { store: openBlocks(chosen, deployment, config.namespace), config: chosen }
}
