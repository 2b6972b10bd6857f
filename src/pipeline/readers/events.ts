// Readers of what is yet to happen: pipelines that begin with them are registered as triggers and cannot be run.
import { PlanError } from '../../errors.ts'
import { defineReader, type ReaderDefinition } from '../define.ts'

export interface ScheduleOptions {
  /** Milliseconds. */
  readonly every?: number
  readonly cron?: string
  readonly missed: 'skip' | 'once'
}

export interface Tick {
  /** The time that it was due at, in milliseconds since the epoch. */
  readonly at: number
  /** How many ticks before it came to pass while no worker ran. */
  readonly missed: number
}

export interface KeyEventsOptions {
  readonly pattern: string
  readonly events?: readonly string[]
  readonly types?: readonly string[]
  readonly db?: number
  readonly source: 'auto' | 'replication' | 'notifications'
  readonly rescan: boolean
  readonly includeOwn: boolean
}

export type KeyEventType = 'string' | 'hash' | 'list' | 'set' | 'zset' | 'stream' | 'none' | 'unknown'

/** What happened to a key. */
export interface KeyEvent {
  readonly key: string
  /**
   * As keyspace notifications have it: `set`, `hset`, `del`, `expired`, `rename_from` ...; `gap` (with an empty key): writes were
   * missed; `rescan`: the key was found after a gap.
   */
  readonly event: string
  /** Of the key, where it is known. */
  readonly type: KeyEventType
  readonly db: number
  /** The command and its arguments, as replicas get it. Empty where the event came as a notification. */
  readonly change: readonly string[]
  /** As of the event where the command carries it whole, else read back (`late`); none where the key is gone. */
  readonly value?:
    | string
    | readonly string[]
    | Readonly<Record<string, string>>
    | readonly { readonly member: string; readonly score: number }[]
  readonly late: boolean
  /**
   * Of a `del`: whether a client deleted the key, or the server did (its time was over, or memory was short), is not known.
   * Such an event also comes to triggers that ask for `expired` or `evicted`.
   */
  readonly cause?: 'unknown'
  /** When it was seen, in milliseconds since the epoch. */
  readonly at: number
}

function eventsOnly<O>(name: string, describe: (options: O) => string): ReaderDefinition {
  const refused = (): PlanError => new PlanError('PLAN_OPTION', `${name}(...) cannot be run: register it`)
  return defineReader<O, readonly unknown[]>({
    name,
    describe,
    splits: () => Promise.reject(refused()),
    // oxlint-disable-next-line require-yield
    async *read() {
      throw refused()
    },
  })
}

export const keyEvents = eventsOnly(
  'keyEvents',
  ({ pattern }: KeyEventsOptions) => `keyEvents(${JSON.stringify(pattern)})`,
)

export const schedule = eventsOnly('schedule', ({ every, cron }: ScheduleOptions) =>
  every === undefined ? `schedule({ cron: '${cron ?? ''}' })` : `schedule({ every: ${every} })`,
)
