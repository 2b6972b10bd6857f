// The realms that are loaded in this process: what their code shares here. The first load of one is reported at once.
import type { RealmState } from '../../code/load.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { realmKey, type RealmRef } from '../realm.ts'

/** Until the worker's next report, in milliseconds. */
const firstReportMs = 30_000

export class LoadedRealms {
  readonly #deployment: Deployment
  readonly #namespace: string
  readonly #worker: string
  readonly #states = new Map<string, Promise<RealmState>>()

  /** @param worker as whose process this one is reported */
  constructor(deployment: Deployment, namespace: string, worker: string) {
    this.#deployment = deployment
    this.#namespace = namespace
    this.#worker = worker
  }

  state(realm: RealmRef): Promise<RealmState> {
    let state = this.#states.get(realm.name)
    if (state === undefined) {
      state = this.#begin(realm.name)
      this.#states.set(realm.name, state)
      state.catch(() => this.#states.delete(realm.name))
    }
    return state
  }

  async #begin(realm: string): Promise<RealmState> {
    const { RealmState: State } = await import('../../code/load.ts')
    const args = [this.#worker, firstReportMs, 0, 0, 1, process.pid, process.memoryUsage.rss()]
    await this.#deployment.call('realm_report', [realmKey(this.#namespace, realm)], args)
    return new State()
  }

  unload(realm: string): void {
    this.#states.delete(realm)
  }
}
