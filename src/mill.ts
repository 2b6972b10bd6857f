// The mill: one connection to one deployment and its workers, and the doors to each part.
import { randomBytes } from 'node:crypto'
import { pathToFileURL } from 'node:url'
import { temporaryBlocks } from './blocks/temporary-blocks.ts'
import type { BlockStore } from './blocks/store.ts'
import { submitCall, type CallExecution } from './call.ts'
import { loadConfig, type Config, type ConfigOptions } from './config.ts'
import { EngineClient } from './engine/client.ts'
import { GroupEvents } from './engine/events.ts'
import type { SubmitOptions } from './engine/execution.ts'
import { silent, type Logger } from './engine/logger.ts'
import { openBlocks } from './engine/open-blocks.ts'
import type { BlocksConfig, Fault } from './engine/protocol.ts'
import { defaultLeaseMs, lanesOf, remoteGroup, startWorker, type Worker } from './engine/worker.ts'
import { ConfigError } from './errors.ts'
import { Executions } from './executions.ts'
import { modules } from './modules.ts'
import { Readers } from './pipeline/readers.ts'
import { connectDeployment } from './redis/connect.ts'
import type { Deployment, Topology } from './redis/deployment.ts'
import { userRedis, type UserRedis } from './redis/user.ts'

/** Blocks of remote work that nobody removed are gone after this. */
const blockTtlMs = 24 * 60 * 60 * 1000

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

const ownOptions = ['workers', 'logger', 'signal', 'leaseMs', 'executorMemoryMb', 'checkpointEveryMs', 'fault'] as const

const stderrLogger: Logger = {
  ...silent,
  warn: (message) => console.warn(`gearmill: ${message}`),
  error: (message) => console.error(`gearmill: ${message}`),
}

/**
 * Connects to a server, a cluster, or what Sentinels name.
 *
 * @param url `redis://`, `rediss://`, `redis+unix://` or `redis+sentinel://`, or the options with a `url`
 *
 * Throws `CONFIG_*` and `CONNECT_*`.
 *
 * @example
 * await using mill = await connect('redis://127.0.0.1:6379')
 */
export async function connect(url?: string | MillOptions, options: MillOptions = {}): Promise<Mill> {
  const given: MillOptions = typeof url === 'object' ? url : { ...options, ...(url === undefined ? {} : { url }) }
  return Mill.open(given, [])
}

/** What a mill closes last: the private server of `local()`. */
export interface Owned {
  stop(): Promise<unknown>
}

export class Mill extends Readers implements AsyncDisposable {
  /** The user's own commands, named as in node-redis, the same on a server and on a cluster; also inside shipped functions. */
  readonly redis: UserRedis
  readonly executions: Executions
  readonly config: Config
  readonly #deployment: Deployment
  readonly #engine: EngineClient
  readonly #events: GroupEvents
  readonly #worker: Worker | undefined
  readonly #blocks: BlockStore
  readonly #owned: readonly Owned[]
  readonly #logger: Logger
  #checkpoints: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined

  /** Opens a mill; `connect()` and `local()` do. */
  static async open(options: MillOptions, owned: readonly Owned[]): Promise<Mill> {
    try {
      return await openMill(options, owned)
    } catch (error) {
      await Promise.allSettled(owned.map((each) => each.stop()))
      throw error
    }
  }

  constructor(parts: MillParts) {
    const { deployment, engine, config } = parts
    super({ engine, secret: config.secret })
    this.redis = parts.redis
    this.executions = new Executions(engine)
    this.config = config
    this.#deployment = deployment
    this.#engine = engine
    this.#events = parts.events
    this.#worker = parts.worker
    this.#blocks = parts.blocks
    this.#owned = parts.owned
    this.#logger = parts.logger
    parts.known.set(this, 'mill')
    parts.known.set(parts.redis, 'mill.redis')
  }

  /** Shards and server version, as last seen. */
  get topology(): Topology {
    return this.#deployment.topology
  }

  /** Process ids of this mill's own executors, and of those that run a task now. */
  get executors(): { readonly pids: readonly number[]; readonly busy: readonly number[] } {
    return { pids: this.#worker?.executorPids ?? [], busy: this.#worker?.busyPids ?? [] }
  }

  /**
   * Runs one function with its arguments in an executor.
   *
   * Throws `CAPTURE_*`; the result rejects with ExecutionError.
   *
   * @example
   * const execution = await mill.submit((a: number, b: number) => a + b, 1, 2)
   * console.log(await execution.result()) // 3
   */
  submit<A extends readonly unknown[], R>(fn: (...args: A) => R, ...args: A): Promise<CallExecution<Awaited<R>>> {
    return submitCall(this.#engine, fn, args, {})
  }

  /** `submit` with options: `mill.submitWith({ timeoutMs: 1000 }, fn, ...args)`. */
  submitWith<A extends readonly unknown[], R>(
    options: SubmitOptions,
    fn: (...args: A) => R,
    ...args: A
  ): Promise<CallExecution<Awaited<R>>> {
    return submitCall(this.#engine, fn, args, options)
  }

  /** Starts saving checkpoints every so many milliseconds. */
  checkpointEvery(ms: number): void {
    clearInterval(this.#checkpoints)
    const save = async (): Promise<void> => {
      const { shards } = this.#deployment.topology
      await Promise.all(shards.map(({ id }) => this.#deployment.onShard(id, ['BGSAVE', 'SCHEDULE'])))
    }
    this.#checkpoints = setInterval(() => {
      save().catch((error: unknown) => this.#logger.warn(`checkpoint: ${String(error)}`))
    }, ms)
    this.#checkpoints.unref()
  }

  /** Stops its executors, removes what local work left in the server, and leaves no process, socket or timer. */
  close(): Promise<void> {
    this.#closing ??= this.#close()
    return this.#closing
  }

  async #close(): Promise<void> {
    clearInterval(this.#checkpoints)
    const steps = [
      () => this.#worker?.drain(0),
      () => this.#engine.close(),
      () => this.#events.close(),
      () => this.#blocks.close(),
      () => this.#deployment.close(),
      ...this.#owned.map((each) => () => each.stop()),
    ]
    for (const step of steps) {
      try {
        await step()
      } catch (error) {
        this.#logger.warn(`closing: ${String(error)}`)
      }
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

interface MillParts {
  readonly deployment: Deployment
  readonly engine: EngineClient
  readonly events: GroupEvents
  readonly worker: Worker | undefined
  readonly blocks: BlockStore
  readonly redis: UserRedis
  readonly config: Config
  readonly owned: readonly Owned[]
  readonly logger: Logger
  readonly known: Map<object, string>
}

async function openMill(options: MillOptions, owned: readonly Owned[]): Promise<Mill> {
  const { workers = 'local', logger = stderrLogger, leaseMs = defaultLeaseMs, signal } = options
  signal?.throwIfAborted()
  checkOwn(options)
  const { config } = loadConfig(withoutOwn(options))
  const { namespace, executors } = config
  const deployment = await connectDeployment(config.url, { ...(signal ? { signal } : {}) })
  const events = new GroupEvents(deployment)
  const local = workers === 'local'
  const group = local ? `local-${process.pid}-${randomBytes(4).toString('hex')}` : remoteGroup
  const lanes = lanesOf(deployment, namespace, group)
  await Promise.all(lanes.map((lane) => events.follow(lane)))
  const { store: blocks, config: blocksConfig } = await blocksOf(config, local, deployment)
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
  const worker = local
    ? await startWorker({
        deployment,
        namespace,
        group,
        executors,
        leaseMs,
        executorMemoryMb: options.executorMemoryMb,
        blocks: blocksConfig,
        modules: modules(),
        secret: config.secret,
        base: pathToFileURL(`${process.cwd()}/`).href,
        logger,
        console: (level, text) => console[level](text),
        fault: options.fault,
        events,
      })
    : undefined
  const redis = userRedis(deployment)
  const mill = new Mill({ deployment, engine, events, worker, blocks, redis, config, owned, logger, known })
  if (options.checkpointEveryMs !== undefined) mill.checkpointEvery(options.checkpointEveryMs)
  signal?.addEventListener('abort', () => void mill.close(), { once: true })
  return mill
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

function withoutOwn(options: MillOptions): ConfigOptions {
  const rest: Record<string, unknown> = { ...options }
  for (const name of ownOptions) delete rest[name]
  return rest
}

function checkOwn({ workers, leaseMs, executorMemoryMb, checkpointEveryMs }: MillOptions): void {
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
      `${name}: expected a whole number of at least ${from}, got ${String(value)}`,
    )
  }
}
