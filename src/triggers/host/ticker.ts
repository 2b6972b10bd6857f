// Adds the ticks of a schedule to its stream, each when it is due.
import { pause } from '../../engine/events.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { nextTick, type Schedule } from '../sources/schedule.ts'
import { FencedError } from './committer.ts'

/** A clock that was set is noticed within this. */
const longestSleepMs = 60_000
const retryMs = 500

export interface TickerOptions {
  readonly deployment: Deployment
  readonly schedule: Schedule
  readonly trigger: string
  readonly stream: string
  readonly fence: { readonly key: string; readonly field: string; readonly value: string }
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

export class Ticker {
  readonly #options: TickerOptions

  constructor(options: TickerOptions) {
    this.#options = options
  }

  /** Ends with its signal. Throws FencedError. */
  async run(): Promise<void> {
    const { deployment, schedule, trigger, stream, fence, signal, trouble } = this.#options
    while (!signal.aborted) {
      try {
        const facts = itemsOf(await deployment.command(trigger, ['HMGET', trigger, 'tick', 'updated']))
        const last = numberOf(facts[0]) || numberOf(facts[1])
        if (textOf(facts[1]) === '') return
        const next = nextTick(schedule, last, Date.now())
        if (next === undefined) return
        const wait = next.at - Date.now()
        if (wait > 0) {
          await pause(Math.min(longestSleepMs, wait), signal)
          if (wait > longestSleepMs || signal.aborted) continue
        }
        const keys = [trigger, stream, fence.key]
        const added = await deployment.call('trigger_tick', keys, [fence.field, fence.value, next.at, next.missed])
        if (numberOf(added) < 0) throw new FencedError()
      } catch (error) {
        if (error instanceof FencedError) throw error
        if (!signal.aborted) trouble('adding a tick', error)
        await pause(retryMs, signal)
      }
    }
  }
}
