// The mill: one connection to one deployment and its workers, and the doors to each part.
import { randomBytes } from 'node:crypto'
import type { BufferArray } from './buffers/array.ts'
import type { BufferMap } from './buffers/map.ts'
import type { BlockStore } from './blocks/store.ts'
import type { Config } from './config.ts'
import type { EngineClient } from './engine/client.ts'
import type { GroupEvents } from './engine/events.ts'
import type { SubmitOptions } from './engine/execution.ts'
import type { Logger } from './engine/logger.ts'
import type { Worker } from './engine/worker.ts'
import { ConfigError, ConnectError } from './errors.ts'
import { Matrices } from './matrix/matrices.ts'
import { EngineWork } from './matrix/work.ts'
import { assemble, type MillParts } from './mill/assemble.ts'
import { broadcastName } from './mill/broadcast.ts'
import { submitCall, type CallExecution } from './mill/call.ts'
import { ClientCounter, checkCounter, counterPrefix, type Counter } from './mill/counter.ts'
import { Executions } from './mill/executions.ts'
import { Models } from './models/models.ts'
import { Tensors } from './models/tensors.ts'
import { checkCheckpoints, connectOptions, localOptions, type LocalOptions, type MillOptions } from './mill/options.ts'
import { Kernels } from './kernels/kernels.ts'
import type { KernelService } from './kernels/service.ts'
import { Realms, type Realm, type RealmOptions } from './mill/realm.ts'
import { execScript, type ScriptOptions } from './mill/script/exec.ts'
import type { RunningExecution } from './pipeline/execution.ts'
import { Readers } from './pipeline/readers.ts'
import type { Deployment, Topology } from './redis/deployment.ts'
import type { UserRedis } from './redis/user.ts'
import { startCluster } from './server/cluster.ts'
import { startServer } from './server/standalone.ts'
import { Calls, CommandBuilder } from './triggers/command.ts'
import { Triggers } from './triggers/registry.ts'
import type { TriggerService } from './triggers/service.ts'

/**
 * Connects to a server, a cluster, or what Sentinels name.
 *
 * @param url `redis://`, `rediss://`, `redis+unix://` or `redis+sentinel://`, or options with a `url`
 *
 * Throws `CONFIG_*` and `CONNECT_*`.
 *
 * @example
 * await using mill = await connect('redis://127.0.0.1:6379')
 */
export async function connect(url?: string | URL | MillOptions, options?: MillOptions): Promise<Mill> {
  return Mill.open(connectOptions(url, options), [])
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
export async function local(options?: LocalOptions): Promise<Mill> {
  const { shards = 1, dir, ...rest } = localOptions(options)
  if (!Number.isInteger(shards) || shards < 1 || shards > 64) {
    throw new ConfigError('CONFIG_INVALID', `shards: expected a whole number from 1 to 64, got ${String(shards)}`)
  }
  if (dir !== undefined && (typeof dir !== 'string' || dir === '')) {
    throw new ConfigError('CONFIG_INVALID', `dir: expected the path of a folder, got ${JSON.stringify(dir)}`)
  }
  const settings = {
    ...(dir === undefined ? {} : { dir, persistence: 'both' as const }),
    ...(rest.signal ? { signal: rest.signal } : {}),
  }
  const server = shards === 1 ? await startServer(settings) : await startCluster({ ...settings, shards })
  return Mill.open({ ...rest, url: server.url }, [server])
}

/** How long close() waits for a server that does not answer; for one that does, as long with each step. */
const serverPatienceMs = 3000

/** How long events that are being processed may take when a mill is closed, in milliseconds. */
const closeGraceMs = 2000

/** What a mill closes last: the private server of `local()`. */
interface Owned {
  stop(): Promise<unknown>
}

export class Mill extends Readers implements AsyncDisposable {
  /** The user's own commands, named as in node-redis, the same on a server and on a cluster; also inside shipped functions. */
  readonly redis: UserRedis
  readonly executions: Executions
  /** The triggers of the deployment, whoever registered them. */
  readonly triggers: Triggers
  /** The kernels of the deployment: small functions that live in the server, and their durable chains. */
  readonly kernels: Kernels
  /** Typed tensors as values; also inside shipped functions. */
  readonly tensors: Tensors
  /** ONNX models; `run`, `get` and `list` also inside shipped functions. */
  readonly models: Models
  readonly config: Config
  /** Matrices in blocks; also inside shipped functions, where they are computed in the executor itself. */
  readonly matrix: Matrices
  readonly #deployment: Deployment
  readonly #engine: EngineClient
  readonly #events: GroupEvents
  readonly #worker: Worker | undefined
  readonly #service: TriggerService | undefined
  readonly #kernelService: KernelService | undefined
  readonly #calls: Calls
  readonly #realms: Realms
  readonly #blocks: BlockStore
  readonly #owned: readonly Owned[]
  readonly #logger: Logger
  readonly #known: Map<object, string>
  readonly #counters = new Map<string, Counter>()
  #checkpoints: NodeJS.Timeout | undefined
  #closing: Promise<void> | undefined
  #unlisten = (): void => undefined

  /** Opens a mill; `connect()` and `local()` do. */
  static async open(options: MillOptions, owned: readonly Owned[]): Promise<Mill> {
    try {
      const mill = new Mill(await assemble(options), owned)
      if (options.checkpointEveryMs !== undefined) mill.checkpointEvery(options.checkpointEveryMs)
      await mill.#closeWith(options.signal)
      return mill
    } catch (error) {
      await Promise.allSettled(owned.map((each) => each.stop()))
      throw error
    }
  }

  private constructor(parts: MillParts, owned: readonly Owned[]) {
    const { deployment, engine, config } = parts
    const triggers = new Triggers({ engine, secret: config.secret, timeoutMs: config.jobs.timeoutMs })
    const models = new Models(engine)
    super({
      engine,
      secret: config.secret,
      models,
      register: (description, options) => triggers.registerPipeline(description, options),
    })
    this.triggers = triggers
    this.kernels = new Kernels({
      deployment,
      namespace: config.namespace,
      secret: config.secret,
    })
    this.models = models
    this.tensors = new Tensors(deployment, config.namespace)
    this.#calls = new Calls(triggers.client)
    this.#realms = new Realms({
      ...{ engine, triggers, calls: this.#calls, secret: config.secret, models },
      ...{ owner: `c.${randomBytes(8).toString('hex')}`, ttlMs: parts.leaseMs },
    })
    this.redis = parts.redis
    this.executions = new Executions(engine)
    this.config = config
    const { executors, secret, stores } = config
    const work = new EngineWork({ engine, executors, secret })
    this.matrix = new Matrices({ work, stores, blockSize: config.matrix.blockSize })
    this.#deployment = deployment
    this.#engine = engine
    this.#events = parts.events
    this.#worker = parts.worker
    this.#service = parts.service
    this.#kernelService = parts.kernels
    this.#blocks = parts.blocks
    this.#owned = owned
    this.#logger = parts.logger
    this.#known = parts.known
    parts.known.set(this, 'mill')
    parts.known.set(parts.redis, 'mill.redis')
    parts.known.set(models, 'mill.models')
    parts.known.set(this.tensors, 'mill.tensors')
    parts.known.set(this.matrix, 'mill.matrix')
  }

  /** Shards and server version, as last seen. */
  get topology(): Topology {
    return this.#deployment.topology
  }

  /** Process ids of this mill's own executors (and of the hosts of its triggers and kernels), and of those that run a task now. */
  get executors(): { readonly pids: readonly number[]; readonly busy: readonly number[] } {
    return {
      pids: [
        ...(this.#worker?.executorPids ?? []),
        ...(this.#service?.hostPids ?? []),
        ...(this.#kernelService?.hostPids ?? []),
      ],
      busy: this.#worker?.busyPids ?? [],
    }
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

  /**
   * A function that any client of the server can call: `FCALL gm_call 1 '<namespace>:{gm0}' name arg ...` gives an id, the list
   * `<namespace>:{gm0}:reply:<id>` the answer. Arguments are texts, the answer is JSON.
   *
   * @example
   * const add = await mill.command('add', (a: string, b: string) => Number(a) + Number(b)).register()
   * console.log(await add.call('1', '2')) // 3
   */
  command<A extends readonly string[], R>(name: string, f: (...args: A) => R): CommandBuilder<A, R> {
    return new CommandBuilder(name, f, this.triggers, this.#calls)
  }

  /**
   * A sum that shipped functions add to, exactly once however often an executor dies. Those of one name are one counter. With
   * local workers it lives as long as the mill, else until somebody deletes it.
   *
   * Throws `PLAN_OPTION`.
   *
   * @example
   * const seen = mill.counter('seen')
   * await mill.from(['a', 'b']).forEach(() => seen.add(1)).run()
   * console.log(await seen.value()) // 2
   */
  counter(name: string): Counter {
    checkCounter(name)
    let counter = this.#counters.get(name)
    if (counter === undefined) {
      counter = new ClientCounter(name, this.#engine)
      this.#counters.set(name, counter)
      this.#known.set(counter, counterPrefix + name)
    }
    return counter
  }

  /**
   * Makes an array or map of gearmill/buffers a side input: functions that use it find it mapped in their executor, once, and
   * not copied. Gives the buffer back.
   *
   * Throws `PLAN_OPTION`; an executor that cannot open the file fails the execution with `PLAN_FILE`.
   */
  broadcast<T, V>(buffer: BufferArray<T, V>): BufferArray<T, V>
  broadcast<K, V>(buffer: BufferMap<K, V>): BufferMap<K, V>
  broadcast(buffer: object): object {
    this.#known.set(buffer, broadcastName(buffer))
    return buffer
  }

  /**
   * A realm: pipelines, calls and triggers made from it share the variables and objects of their code in each executor, which
   * two runs of a pipeline otherwise do not. It is known by its name to all clients; what its code shares is this mill's.
   *
   * @param options `isolate: { memoryMb }`: executors of its own, with a memory limit each
   *
   * Throws `PLAN_OPTION`.
   *
   * @example
   * const realm = mill.realm('visits', { isolate: { memoryMb: 256 } })
   * let visits = 0
   * await realm.from(['a', 'b']).forEach(() => void (visits += 1)).run()
   * const execution = await realm.submit(() => visits)
   * console.log(await execution.result(), await realm.stats())
   */
  realm(name: string, options: RealmOptions = {}): Realm {
    return this.#realms.open(name, options)
  }

  /**
   * Runs a script in an executor: its text sees the readers by their names (`keys`, `from`, ...), and `mill`. Gives the value of
   * its last expression, as JSON has it; a pipeline there is run. What it registers stays. A mill without executors of its own
   * gives it to workers that run scripts (`allowScripts`), or to any with the same GEARMILL_SECRET.
   *
   * Throws `PLAN_SCRIPT`, `PLAN_OPTION`, and ExecutionError with `EXECUTION_SCRIPT`, `EXECUTION_SCRIPT_REFUSED`, ...
   *
   * @example
   * console.log(await mill.exec("keys('user:*').count()")) // [ 2 ]
   */
  exec(script: string, options?: ScriptOptions & { readonly unblocking?: false }): Promise<unknown>
  /** Gives the execution at once; its result is the script's. */
  exec(script: string, options: ScriptOptions & { readonly unblocking: true }): Promise<RunningExecution<unknown>>
  exec(script: string, options: ScriptOptions = {}): Promise<unknown> {
    return execScript(this.#engine, this.#calls, script, options)
  }

  /** Starts saving checkpoints every so many milliseconds. Throws `CONFIG_INVALID`. */
  checkpointEvery(ms: number): void {
    checkCheckpoints(ms)
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

  /** Rejects, closed, where the signal was given while the mill was opened. */
  async #closeWith(signal: AbortSignal | undefined): Promise<void> {
    const close = (): void => void this.close()
    signal?.addEventListener('abort', close, { once: true })
    this.#unlisten = () => signal?.removeEventListener('abort', close)
    if (signal?.aborted !== true) return
    await this.close()
    signal.throwIfAborted()
  }

  async #close(): Promise<void> {
    this.#unlisten()
    clearInterval(this.#checkpoints)
    const attempt = async (step: () => unknown): Promise<void> => {
      try {
        await step()
      } catch (error) {
        this.#logger.warn(`closing: ${String(error)}`)
      }
    }
    // These talk to the server. One that is gone must not hold us: closing the connection ends what they wait for.
    const talks = [
      () => this.#service?.close(closeGraceMs),
      () => this.#kernelService?.close(closeGraceMs),
      () => this.#worker?.drain(0),
      () => this.#engine.close(),
      // Nobody writes blocks any more.
      () => this.matrix.close(),
      () => this.#realms.close(),
    ]
    const talking: Promise<void>[] = []
    const asked = performance.now()
    let answers = false
    void this.#takesWrites().then((does) => (answers = does))
    for (const step of talks) {
      const running = attempt(step)
      talking.push(running)
      const patience = answers ? serverPatienceMs : asked + serverPatienceMs - performance.now()
      await within(Math.max(0, patience), running)
    }
    await attempt(() => this.#calls.close())
    await attempt(() => this.kernels.close())
    await attempt(() => this.#events.close())
    await attempt(() => this.#deployment.close())
    await Promise.all(talking)
    await attempt(() => this.#blocks.close())
    for (const each of this.#owned) await attempt(() => each.stop())
  }

  /** Asks the server to remove what is not there. False where it is gone, or is a replica now. */
  async #takesWrites(): Promise<boolean> {
    const key = `${this.config.namespace}:{gm0}:none`
    try {
      await this.#deployment.command(key, ['UNLINK', key])
      return true
    } catch (error) {
      return error instanceof ConnectError && error.code !== 'CONNECT_LOST' && error.code !== 'CONNECT_CLOSED'
    }
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}

/** Resolves with the promise, or after so many milliseconds. */
async function within(ms: number, promise: Promise<void>): Promise<void> {
  let timer: NodeJS.Timeout | undefined
  await Promise.race([promise, new Promise<void>((resolve) => (timer = setTimeout(resolve, ms)))])
  clearTimeout(timer)
}
