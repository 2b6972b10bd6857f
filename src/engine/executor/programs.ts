// What an executor knows of the executions whose tasks it ran: limits, stages, the loaded runner. Loaded once, released when
// the execution ends or when others push it out.
import { ExecutionError, GearmillError } from '../../errors.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, pairsOf, textMapOf, textOf } from '../../redis/replies.ts'
import { attemptToken, type LaneKeys } from '../keys.ts'
import type { Modules } from '../protocol.ts'
import { realmOf, type RealmRef } from '../realm.ts'
import type { Environment, RunnerFactory, TaskRunner } from '../runner.ts'
import { readLarge } from '../large-values.ts'
import type { LoadedRealms } from './realms.ts'

export interface ExecutionFacts {
  readonly id: string
  /** When it was submitted: another execution may have had the same id before. */
  readonly created: string
  readonly kind: string
  readonly code: string
  readonly realm: RealmRef | undefined
  readonly timeoutMs: number
  readonly memoryMb: number
  readonly maxAttempts: number
  /** Above 0 where the execution dies with its client. */
  readonly leaseMs: number
  readonly tasks: readonly number[]
  readonly partitions: readonly number[]
}

export interface FoundExecution {
  readonly facts: ExecutionFacts
  readonly epoch: number
  /** Run id of the lane's server. */
  readonly run: string
  /** The server was started anew since the submit: it may have gone back in time. */
  readonly restarted: boolean
}

interface Loaded {
  readonly facts: ExecutionFacts
  /** The server's run id when a task of it was last begun. */
  run: string
  runner?: Promise<TaskRunner>
  /** Winners by run of the server, epoch and stage. */
  readonly winners: Map<string, Promise<ReadonlyMap<string, string>>>
}

/** From what INFO says of a server: each start of it has an id of its own. */
export function runIdOf(about: string): string {
  return /run_id:(\w+)/.exec(about)?.[1] ?? ''
}

/** Executions kept loaded at the same time. */
const mostLoaded = 16

export class Programs {
  readonly #deployment: Deployment
  readonly #modules: Modules
  readonly #environment: Environment
  readonly #base: string
  readonly #secret: string | undefined
  readonly #realms: LoadedRealms
  readonly #loaded = new Map<string, Loaded>()
  #known: Promise<ReadonlyMap<string, unknown>> | undefined
  readonly #makeKnown: () => Promise<ReadonlyMap<string, unknown>>

  constructor(options: {
    readonly deployment: Deployment
    readonly modules: Modules
    readonly environment: Environment
    readonly base: string
    readonly secret: string | undefined
    readonly realms: LoadedRealms
    readonly known: () => Promise<ReadonlyMap<string, unknown>>
  }) {
    this.#deployment = options.deployment
    this.#modules = options.modules
    this.#environment = options.environment
    this.#base = options.base
    this.#secret = options.secret
    this.#realms = options.realms
    this.#makeKnown = options.known
  }

  /** Undefined where the execution is unknown or does not run any more. Asked for each task. */
  async facts(lane: LaneKeys, id: string): Promise<FoundExecution | undefined> {
    const x = lane.executions + id
    const [reply, about] = await Promise.all([
      this.#deployment.command(x, ['HMGET', x, 'state', 'created', 'epoch', 'run']),
      this.#deployment.command(x, ['INFO', 'server']),
    ])
    const [state = '', created = '', epoch = '', submitted = ''] = itemsOf(reply).map(textOf)
    const run = runIdOf(textOf(about))
    let loaded = this.#loaded.get(id)
    if (loaded && (state !== 'running' || loaded.facts.created !== created)) {
      await this.forget(id)
      loaded = undefined
    }
    if (state !== 'running') return undefined
    const facts = loaded?.facts ?? (await this.#readFacts(x, id))
    // The latest used is the last to be pushed out.
    this.#loaded.delete(id)
    this.#loaded.set(id, loaded ? Object.assign(loaded, { run }) : { facts, run, winners: new Map() })
    for (const old of this.#loaded.keys()) {
      if (this.#loaded.size <= mostLoaded) break
      await this.forget(old)
    }
    return { facts, epoch: Number(epoch), run, restarted: run !== submitted }
  }

  async #readFacts(x: string, id: string): Promise<ExecutionFacts> {
    const fields = textMapOf(await this.#deployment.command(x, ['HGETALL', x]))
    const number = (name: string): number => Number(fields.get(name) ?? 0)
    const stages = Array.from({ length: number('stages') }, (_, k) => k)
    return {
      id,
      created: fields.get('created') ?? '',
      kind: fields.get('kind') ?? '',
      code: fields.get('code') ?? '',
      realm: realmOf(fields.get('realm')),
      timeoutMs: number('timeout'),
      memoryMb: number('memory'),
      maxAttempts: number('max'),
      leaseMs: number('lease'),
      tasks: stages.map((k) => number(`c${k}`)),
      partitions: stages.map((k) => number(`p${k}`)),
    }
  }

  async runner(lane: LaneKeys, id: string): Promise<TaskRunner> {
    const loaded = this.#loaded.get(id)
    if (!loaded) throw new ExecutionError('EXECUTION_LOST', `execution ${id} is not loaded`, { execution: id })
    loaded.runner ??= this.#load(lane, loaded.facts).catch((error: unknown) => {
      // What is missing now (a package, the server) may be there for the next attempt.
      delete loaded.runner
      throw error
    })
    return loaded.runner
  }

  async #load(lane: LaneKeys, facts: ExecutionFacts): Promise<TaskRunner> {
    const url = this.#modules.runners[facts.kind]
    if (url === undefined) {
      const message = `this worker does not know the kind '${facts.kind}': client and worker may be of different versions`
      throw new ExecutionError('EXECUTION_NO_WORKER', message, { execution: facts.id })
    }
    const [factory, bytes, functions] = await Promise.all([
      import(url) as Promise<{ default: RunnerFactory }>,
      readLarge(this.#deployment, `${lane.executions}${facts.id}:p`),
      this.#functions(facts),
    ])
    return factory.default({ execution: facts.id, bytes, functions }, this.#environment)
  }

  async #functions(facts: ExecutionFacts): Promise<readonly unknown[]> {
    if (facts.code === '') return []
    const bytes = await readLarge(this.#deployment, facts.code)
    if (bytes.length === 0) throw new GearmillError('CAPTURE_LOAD', `the code of execution ${facts.id} is missing`)
    this.#known ??= this.#makeKnown()
    const { loadCode } = await import('../../code/load.ts')
    const [known, realm] = await Promise.all([this.#known, facts.realm && this.#realms.state(facts.realm)])
    const secret = this.#secret === undefined ? {} : { secret: this.#secret }
    return loadCode(bytes, { known, base: this.#base, ...secret, ...(realm ? { realm } : {}) })
  }

  /** The attempt of a task of an earlier stage whose blocks count. Only attempts other than the first are stored. */
  async winner(lane: LaneKeys, id: string, epoch: number, stage: number, task: number): Promise<string> {
    const loaded = this.#loaded.get(id)
    if (!loaded) return attemptToken(epoch, 1)
    const slot = `${loaded.run}.${epoch}.${stage}`
    let winners = loaded.winners.get(slot)
    if (!winners) {
      winners = this.#readWinners(lane.executions + id, stage)
      loaded.winners.set(slot, winners)
      winners.catch(() => loaded.winners.delete(slot))
    }
    return (await winners).get(`${stage}.${task}`) ?? '1'
  }

  async #readWinners(x: string, stage: number): Promise<ReadonlyMap<string, string>> {
    const winners = new Map<string, string>()
    const key = `${x}:w`
    let cursor = '0'
    do {
      const reply = itemsOf(
        await this.#deployment.command(key, ['HSCAN', key, cursor, 'MATCH', `${stage}.*`, 'COUNT', 1000]),
      )
      cursor = textOf(reply[0])
      for (const [name, token] of pairsOf(reply[1])) winners.set(textOf(name), textOf(token))
    } while (cursor !== '0')
    return winners
  }

  async forget(id: string): Promise<void> {
    const loaded = this.#loaded.get(id)
    if (!loaded) return
    this.#loaded.delete(id)
    const runner = await loaded.runner?.catch(() => undefined)
    await runner?.close?.()
  }

  async close(): Promise<void> {
    for (const id of [...this.#loaded.keys()]) await this.forget(id)
  }
}
