// Realms as the engine sees them: a name, who keeps it, and which processes have it loaded. A realm is there as long as
// anybody keeps it: a client that holds it, an execution that runs in it, a trigger (see _realm.lua).
import { PlanError } from '../errors.ts'
import type { Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf } from '../redis/replies.ts'

/** A realm as executions and triggers name it. */
export interface RealmRef {
  readonly name: string
  /** Memory limit of its own executors, in MiB; undefined where it has none. */
  readonly memoryMb?: number
}

export interface RealmStats {
  /** Processes that have it loaded: executors, and hosts of triggers. */
  readonly executors: number
  /** Who keeps it: clients that hold it, executions that run, triggers. */
  readonly references: number
  /** Of these processes, in bytes; where the realm is not isolated, others have a part in it. */
  readonly memory: { readonly now: number; readonly peak: number }
}

const rule = /^[\w.:-]{1,128}$/

/** Throws PLAN_OPTION. */
export function checkRealmName(name: unknown): asserts name is string {
  if (typeof name === 'string' && rule.test(name)) return
  throw new PlanError(
    'PLAN_OPTION',
    `realm: expected a name of 1 to 128 of letters, digits and _ . : -, got ${JSON.stringify(name)}`,
  )
}

export function realmKey(namespace: string, name: string): string {
  return `${namespace}:{gm0}:realm:${name}`
}

/** What is stored with an execution or trigger: the realm as JSON, and its key. */
export function realmFields(namespace: string, realm: RealmRef | undefined): [string, string] {
  return realm === undefined ? ['', ''] : [JSON.stringify(realm), realmKey(namespace, realm.name)]
}

export function realmOf(text: string | undefined): RealmRef | undefined {
  return text === undefined || text === '' ? undefined : (JSON.parse(text) as RealmRef)
}

export interface RealmOwnerOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly name: string
  /** The client's name among the owners. */
  readonly owner: string
  readonly memoryMb: number | undefined
  /** How long the realm is kept without a sign of life, in milliseconds. */
  readonly ttlMs: number
}

/** A client that keeps a realm, from its first use until it leaves. */
export class RealmOwner {
  readonly #options: RealmOwnerOptions
  readonly #key: string
  #owned: Promise<RealmRef> | undefined
  #renewal: NodeJS.Timeout | undefined

  constructor(options: RealmOwnerOptions) {
    this.#options = options
    this.#key = realmKey(options.namespace, options.name)
  }

  /** Throws PLAN_OPTION where the realm has other executors than were asked for. */
  own(): Promise<RealmRef> {
    this.#owned ??= this.#own()
    this.#owned.catch(() => (this.#owned = undefined))
    return this.#owned
  }

  async #own(): Promise<RealmRef> {
    const { deployment, name, owner, memoryMb, ttlMs } = this.#options
    const there = numberOf(await deployment.call('realm_own', [this.#key], [owner, ttlMs, memoryMb ?? 0]))
    if (memoryMb !== undefined && there !== memoryMb) {
      await deployment.call('realm_leave', [this.#key], [owner])
      const own = there === 0 ? 'no executors of its own' : `isolate { memoryMb: ${there} }`
      throw new PlanError('PLAN_OPTION', `realm ${name} is there with ${own}: expected that, or none, got ${memoryMb}`)
    }
    this.#renewal = setInterval(() => {
      deployment.call('realm_renew', [this.#key], [ttlMs, owner]).catch(() => undefined)
    }, ttlMs / 3)
    this.#renewal.unref()
    return there === 0 ? { name } : { name, memoryMb: there }
  }

  async stats(): Promise<RealmStats> {
    const reply = itemsOf(await this.#options.deployment.call('realm_stats', [this.#key], []))
    const [references = 0, executors = 0, now = 0, peak = 0] = reply.map(numberOf)
    return { executors, references, memory: { now, peak } }
  }

  async leave(): Promise<void> {
    clearInterval(this.#renewal)
    const owned = await this.#owned?.catch(() => undefined)
    if (owned === undefined) return
    await this.#options.deployment.call('realm_leave', [this.#key], [this.#options.owner])
  }
}
