// `mill.realm(name)`: pipelines, calls and triggers that share the state of their code, and, where it is isolated, executors.
import { CaptureRealm } from '../code/realm.ts'
import type { SubmitOptions } from '../engine/execution.ts'
import { RealmOwner, checkRealmName, type RealmStats } from '../engine/realm.ts'
import { PlanError } from '../errors.ts'
import { checkInteger, checkOptions, refuse } from '../pipeline/options.ts'
import { Readers } from '../pipeline/readers.ts'
import type { LaunchRealm } from '../pipeline/run.ts'
import { CommandBuilder, type Calls } from '../triggers/command.ts'
import type { Triggers } from '../triggers/registry.ts'
import { submitCall, type CallExecution, type MillEngine } from './call.ts'

export interface RealmOptions {
  /**
   * Executors of its own, each with a memory limit in MiB, at least 64: one over it is killed, and its task tried again as after
   * any death. Default: the executors of all, without a limit of its own.
   */
  readonly isolate?: { readonly memoryMb: number }
}

/** What realms need of the mill. */
export interface RealmHost {
  readonly engine: MillEngine
  readonly triggers: Triggers
  readonly calls: Calls
  readonly secret: string | undefined
  /** What stands for the models of executors in what is shipped. */
  readonly models: object
  /** The mill's name among the owners of realms. */
  readonly owner: string
  readonly ttlMs: number
}

const leastMemoryMb = 64

/** One realm of a mill, however many times it was asked for. */
interface Shared {
  readonly capture: CaptureRealm
  readonly owner: RealmOwner
  readonly memoryMb: number | undefined
  handles: number
}

/** The realms of a mill. */
export class Realms {
  readonly #host: RealmHost
  readonly #shared = new Map<string, Shared>()

  constructor(host: RealmHost) {
    this.#host = host
  }

  open(name: string, options: RealmOptions): Realm {
    checkRealmName(name)
    checkOptions('realm', options, ['isolate'])
    const memoryMb = memoryOf(options)
    const shared = this.#shared.get(name) ?? this.#make(name, memoryMb)
    if (memoryMb !== undefined && memoryMb !== shared.memoryMb) {
      const there = shared.memoryMb === undefined ? 'no isolate' : `isolate { memoryMb: ${shared.memoryMb} }`
      refuse('realm', `${there}, with which ${name} is open`, options.isolate)
    }
    shared.handles += 1
    this.#shared.set(name, shared)
    return new Realm(name, this.#host, shared.capture, shared.owner, () => this.#closed(name, shared))
  }

  #make(name: string, memoryMb: number | undefined): Shared {
    const { engine, owner: client, ttlMs } = this.#host
    const { deployment, namespace } = engine
    const owner = new RealmOwner({ deployment, namespace, name, owner: client, memoryMb, ttlMs })
    return { capture: new CaptureRealm(), owner, memoryMb, handles: 0 }
  }

  async #closed(name: string, shared: Shared): Promise<void> {
    shared.handles -= 1
    if (shared.handles > 0) return
    if (this.#shared.get(name) === shared) this.#shared.delete(name)
    await shared.owner.leave()
  }

  /** The mill closes. */
  async close(): Promise<void> {
    const all = [...this.#shared.values()]
    this.#shared.clear()
    await Promise.all(all.map(({ owner }) => owner.leave()))
  }
}

function memoryOf({ isolate }: RealmOptions): number | undefined {
  if (isolate === undefined) return undefined
  if (typeof isolate !== 'object' || isolate === null) refuse('realm', 'isolate to be { memoryMb }', isolate)
  checkOptions('realm', isolate, ['memoryMb'])
  checkInteger('realm', isolate.memoryMb, leastMemoryMb, `memoryMb to be a whole number of at least ${leastMemoryMb}`)
  return isolate.memoryMb
}

/**
 * Has the readers of the mill. The functions of everything that is made from it share their variables and objects in each
 * executor, until nobody keeps the realm any more: no execution runs in it, no trigger is of it, and it is closed.
 */
export class Realm extends Readers implements AsyncDisposable {
  readonly name: string
  readonly #host: RealmHost
  readonly #launch: LaunchRealm
  readonly #owner: RealmOwner
  readonly #close: () => Promise<void>
  #closed: Promise<void> | undefined

  constructor(name: string, host: RealmHost, capture: CaptureRealm, owner: RealmOwner, close: () => Promise<void>) {
    const launch: LaunchRealm = {
      capture,
      own: async () => {
        if (this.#closed) throw new PlanError('PLAN_OPTION', `realm ${name} was closed`)
        return owner.own()
      },
    }
    super({
      engine: host.engine,
      secret: host.secret,
      models: host.models,
      realm: launch,
      register: (description, options) => host.triggers.registerPipeline(description, options, launch),
    })
    this.name = name
    this.#host = host
    this.#launch = launch
    this.#owner = owner
    this.#close = close
  }

  /** `mill.submit` in this realm. */
  submit<A extends readonly unknown[], R>(fn: (...args: A) => R, ...args: A): Promise<CallExecution<Awaited<R>>> {
    return submitCall(this.#host.engine, fn, args, {}, this.#launch)
  }

  /** `mill.submitWith` in this realm. */
  submitWith<A extends readonly unknown[], R>(
    options: SubmitOptions,
    fn: (...args: A) => R,
    ...args: A
  ): Promise<CallExecution<Awaited<R>>> {
    return submitCall(this.#host.engine, fn, args, options, this.#launch)
  }

  /** `mill.command` in this realm. */
  command<A extends readonly string[], R>(name: string, f: (...args: A) => R): CommandBuilder<A, R> {
    return new CommandBuilder(name, f, this.#host.triggers, this.#host.calls, this.#launch)
  }

  /** Which processes have it loaded, what they take, and how many keep it. */
  async stats(): Promise<RealmStats> {
    await this.#launch.own()
    return this.#owner.stats()
  }

  /** Keeps it no longer. Executions that run and triggers that are registered do. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }
}
