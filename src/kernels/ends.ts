// Ends of chains, as they happen: one reader for each lane and process, whoever waits in it. A message may be lost, so who waits
// looks again from time to time.
import { GroupEvents } from '../engine/events.ts'
import { laneKeys } from '../engine/keys.ts'
import type { Deployment } from '../redis/deployment.ts'
import type { ChainLane } from './keys.ts'

/** Who waits looks again after so long, in milliseconds. */
const lookMs = 5000
/** The group in whose name ends of chains are told. */
const group = 'chains'

interface NextEnd {
  /** Resolves when the chain ended, or it is time to look; or the signal aborts. */
  come(signal: AbortSignal | undefined): Promise<void>
  forget(): void
}

export class ChainEnds {
  readonly #events: GroupEvents
  readonly #namespace: string
  readonly #waiting = new Map<string, Set<() => void>>()
  #closed = false

  constructor(deployment: Deployment, namespace: string) {
    const events = new GroupEvents(deployment)
    this.#events = events
    this.#namespace = namespace
    events.on(({ execution }) => this.#tell(this.#waiting.get(execution)))
    events.onGap(() => this.#tellAll())
  }

  get closed(): boolean {
    return this.#closed
  }

  #tellAll(): void {
    for (const all of this.#waiting.values()) this.#tell(all)
  }

  #tell(all: ReadonlySet<() => void> | undefined): void {
    if (all !== undefined) for (const tell of all) tell()
  }

  /** Resolves when no end in that lane is missed from now on. */
  follow(lane: ChainLane): Promise<void> {
    return this.#events.follow(laneKeys(this.#namespace, lane.tag, group))
  }

  /** The next end of a chain from now on; forget() is due. */
  next(id: string): NextEnd {
    let tell = (): void => undefined
    const told = new Promise<void>((resolve) => (tell = resolve))
    const all = this.#waiting.get(id) ?? new Set()
    this.#waiting.set(id, all)
    all.add(tell)
    let timer: NodeJS.Timeout | undefined
    let off = (): void => undefined
    return {
      come(signal) {
        timer = setTimeout(tell, lookMs)
        signal?.addEventListener('abort', tell, { once: true })
        off = () => signal?.removeEventListener('abort', tell)
        return told
      },
      forget: () => {
        clearTimeout(timer)
        off()
        all.delete(tell)
        if (all.size === 0) this.#waiting.delete(id)
      },
    }
  }

  /** Who waits is told: nothing comes any more. */
  close(): Promise<void> {
    this.#closed = true
    this.#tellAll()
    return this.#events.close()
  }
}
