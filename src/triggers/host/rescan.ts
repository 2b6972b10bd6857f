// Reads the keys of a primary again after a gap, once for all triggers that ask for it: each key that matches is a `rescan`
// event. That it is to be done lies with the trigger's marks until it is: a tap that dies on the way is followed by one
// that begins anew.
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, textOf } from '../../redis/replies.ts'
import { parseUrl } from '../../redis/url.ts'
import type { KeptKeyEvent } from '../sources/keys.ts'
import type { CompiledFilter } from './key-filters.ts'
import type { TapStore } from './tap-store.ts'

const scanCount = 500

export interface RescanOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly shard: string
  readonly store: TapStore
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

export class Rescan {
  readonly #options: RescanOptions
  #waiting = new Map<string, CompiledFilter>()
  #running: Promise<void> | undefined

  constructor(options: RescanOptions) {
    this.#options = options
  }

  /** Begins with the next pass over the keys. */
  add(filter: CompiledFilter): void {
    this.#waiting.set(filter.name, filter)
    this.#running ??= this.#run().finally(() => (this.#running = undefined))
  }

  async ended(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    const { signal, trouble, store, shard } = this.#options
    while (this.#waiting.size > 0 && !signal.aborted) {
      const filters = [...this.#waiting.values()]
      this.#waiting = new Map()
      try {
        await this.#pass(filters)
        if (signal.aborted) return
        for (const { name } of filters) await store.rescanned(name, shard)
      } catch (error) {
        // The next tap begins anew.
        if (!signal.aborted) trouble('reading keys again', error)
      }
    }
  }

  async #pass(filters: readonly CompiledFilter[]): Promise<void> {
    const { deployment, shard, store, signal, namespace } = this.#options
    const { database } = parseUrl(deployment.url)
    const able = filters.filter(({ description: { db } }) => db === undefined || db === database)
    const [only] = able
    const match = able.length === 1 && only !== undefined ? ['MATCH', only.description.pattern] : []
    let cursor = '0'
    do {
      const [next, keys] = itemsOf(await deployment.onShard(shard, ['SCAN', cursor, ...match, 'COUNT', scanCount]))
      cursor = textOf(next)
      const at = Date.now()
      const found = itemsOf(keys)
        .map(textOf)
        .filter((key) => !key.startsWith(`${namespace}:{`))
      const shares = able.map((trigger) => ({
        trigger,
        events: found
          .filter(trigger.matches)
          .map((key): KeptKeyEvent => [key, 'rescan', 'unknown', database, at, [], true]),
      }))
      const some = shares.filter(({ events }) => events.length > 0)
      if (some.length > 0) await store.append(shard, '', undefined, some)
    } while (cursor !== '0' && !signal.aborted)
  }
}
