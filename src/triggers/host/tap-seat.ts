// The place at which one primary is tapped for all key triggers; the leases of seats see to it that there is one.
import type { Deployment } from '../../redis/deployment.ts'
import type { TriggerKeys } from '../keys.ts'
import type { SeatOrder } from '../protocol.ts'
import type { Followed } from './key-filters.ts'
import { ShardTap } from './shard-tap.ts'
import { TapStore } from './tap-store.ts'

const lookMs = 1000

export interface TapSeatOptions {
  readonly order: SeatOrder
  readonly namespace: string
  readonly keys: TriggerKeys
  readonly deployment: Deployment
  readonly trouble: (what: string, error: unknown) => void
}

export class TapSeat {
  readonly #options: TapSeatOptions
  readonly #store: TapStore
  readonly #stop = new AbortController()
  #wake: (() => void) | undefined
  #woken = false
  #tap: { readonly shard: string; readonly tap: ShardTap; readonly ended: Promise<void> } | undefined

  constructor(options: TapSeatOptions) {
    this.#options = options
    const { deployment, keys, order } = options
    this.#store = new TapStore(deployment, keys, order.seat, order.fence)
  }

  /** Runs until it is stopped. */
  async run(): Promise<void> {
    const { signal } = this.#stop
    while (!signal.aborted) {
      try {
        await this.#look()
      } catch (error) {
        if (!signal.aborted) this.#options.trouble('looking for what to tap', error)
      }
      await this.#pause()
    }
    await this.#tap?.ended
  }

  stop(): void {
    this.#stop.abort()
    this.poke()
  }

  /** Looks for triggers now. */
  poke(): void {
    this.#woken = true
    this.#wake?.()
  }

  /** Until it is time to look again, or somebody pokes; stop() pokes too. */
  async #pause(): Promise<void> {
    if (!this.#woken) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, lookMs)
        this.#wake = () => {
          clearTimeout(timer)
          resolve()
        }
      })
    }
    this.#woken = false
  }

  /** Place `n` is that of the n-th primary. */
  async #look(): Promise<void> {
    const { deployment, order } = this.#options
    const triggers = await this.#store.triggers()
    const shard = (await deployment.refresh()).shards[order.seat]?.id
    if (this.#tap !== undefined && this.#tap.shard !== shard) {
      this.#tap.tap.stop()
      await this.#tap.ended
    }
    if (shard === undefined || triggers.length === 0) return
    if (this.#tap === undefined) this.#begin(shard, triggers)
    else await this.#tap.tap.follow(triggers)
  }

  #begin(shard: string, triggers: readonly Followed[]): void {
    const { deployment, namespace, trouble } = this.#options
    const { signal } = this.#stop
    const tap = new ShardTap({ deployment, namespace, shard, store: this.#store, signal, trouble })
    const ended = tap
      .run(triggers)
      .catch((error: unknown) => {
        // The next look begins where what is stored says.
        if (!signal.aborted) trouble(`following ${shard}`, error)
      })
      .finally(() => (this.#tap = undefined))
    this.#tap = { shard, tap, ended }
  }
}
