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

export const schedule = eventsOnly('schedule', ({ every, cron }: ScheduleOptions) =>
  every === undefined ? `schedule({ cron: '${cron ?? ''}' })` : `schedule({ every: ${every} })`,
)
