// What the death of an executor means for the task it ran: try again, look closer, step over the record that kills, or
// give up.
//
// The executor notes which records it is about to run (the position) where its supervisor can read it after a death.
// First death: the batch is suspect, and the next attempt runs its records one by one. Deaths after that name one
// record; when the same record was there at two of them, and at as many deaths as a task may have, it is stepped over
// and reported, and the count starts again. A task whose deaths name no record gives up when its attempts are used up.
// One death alone never condemns a record: whoever kills executors at random would lose data. For the same reason a task
// whose attempts are unlimited wants more deaths at one record where it may not have been the record that killed.
//
// What is thrown outside of every call (a promise that nobody awaits, a timer) ends the executor too, but names itself:
// the next attempt is traced, so that the record whose function it came from is known, and only that one is stepped over.
import type { Failure, FailureCause } from './runner.ts'

/** The records that were about to run: `count` of them from `index`. */
export interface Position {
  readonly index: number
  readonly count: number
}

/** What attempts of a task hand on to each other, kept in its stream entry. */
export interface AttemptState {
  /** Deaths and time-outs since the last record was found. */
  readonly deaths: number
  /** Records that are run one by one. */
  readonly suspect?: Position
  /** Set once something was thrown outside of every call: records run one by one, and what they start knows its record. */
  readonly traced?: true
  /** How often in a row the suspect was this one record. */
  readonly hits: number
  /** Records that are stepped over: index, and why. */
  readonly skip: readonly SkippedRecord[]
  /** Since when it has waited for what is nobody's fault (a server without room), in milliseconds since the epoch. */
  readonly waitingSince?: number
  /** Workers that lack what the task needs. */
  readonly unable: readonly string[]
}

export type DeathCode = 'EXECUTION_CRASHED' | 'EXECUTION_TIMEOUT' | 'EXECUTION_MEMORY'

export interface SkippedRecord {
  readonly index: number
  readonly code: DeathCode | 'EXECUTION_RECORD'
  readonly message: string
  readonly stack?: string
  readonly cause?: FailureCause
}

/** Why an executor ended. */
export interface Death {
  readonly code: DeathCode
  readonly message: string
  readonly position: Position | undefined
  /** What was thrown outside of every call, if that ended it, and the record that it came from, where that is known. */
  readonly thrown?: { readonly failure: Failure; readonly record?: number } | undefined
}

export const firstAttempt: AttemptState = { deaths: 0, hits: 0, skip: [], unable: [] }

/** At most so many records of one task are stepped over; a function that kills on every record is not worth more. */
const mostSkipped = 100

/** Deaths in a row that condemn a record, and those where attempts are unlimited and something from outside may have killed. */
const condemning = 2
const condemningOfMany = 5

export interface Verdict {
  readonly again: boolean
  readonly state: AttemptState
  /** Before the next attempt, in milliseconds. */
  readonly delayMs: number
}

/** Delays between attempts, in milliseconds; the last one repeats. */
export const backoffMs = [100, 400, 1600, 5000] as const

export function judgeDeath(
  before: AttemptState,
  death: Omit<Death, 'position'> & Partial<Pick<Death, 'position'>>,
  /** 0: unlimited. */
  maxAttempts: number,
): Verdict {
  // A wait is over when the task ran.
  const { waitingSince: _, ...state } = before
  const { position, thrown } = death
  if (thrown?.record !== undefined && state.skip.length < mostSkipped) {
    const { message, stack, cause } = thrown.failure
    const found: SkippedRecord = {
      index: thrown.record,
      code: 'EXECUTION_RECORD',
      message,
      ...(stack === undefined ? {} : { stack }),
      ...(cause === undefined ? {} : { cause }),
    }
    return { again: true, delayMs: 0, state: { ...state, deaths: 0, hits: 0, skip: [...state.skip, found] } }
  }
  // It may have come from an earlier task of the executor: this one does not pay for it.
  if (thrown && !state.traced) return { again: true, delayMs: 0, state: { ...state, traced: true } }
  const deaths = state.deaths + 1
  const limit = maxAttempts === 0 ? Infinity : maxAttempts
  const delayMs = backoffMs[Math.min(deaths - 1, backoffMs.length - 1)] as number
  const single = position?.count === 1
  const hits = single && state.suspect?.count === 1 && state.suspect.index === position.index ? state.hits + 1 : 1

  // A found record needs so many deaths at it, and no fewer deaths than a task may have.
  const mayBeChance = maxAttempts === 0 && death.code === 'EXECUTION_CRASHED'
  const sure = mayBeChance ? condemningOfMany : Math.min(condemning, limit)
  if (single && hits >= sure && deaths >= Math.min(limit, 3) && state.skip.length < mostSkipped) {
    const skip = [...state.skip, { index: position.index, code: death.code, message: death.message }]
    const suspect = state.suspect
    return { again: true, delayMs: 0, state: { ...state, deaths: 0, hits: 0, skip, ...(suspect ? { suspect } : {}) } }
  }
  const next: AttemptState = { ...state, deaths, hits, ...(position ? { suspect: position } : {}) }
  return { again: deaths < limit, state: next, delayMs }
}

export function encodeAttempts(state: AttemptState): string {
  return state === firstAttempt ? '' : JSON.stringify(state)
}

export function decodeAttempts(text: string | undefined): AttemptState {
  return text === undefined || text === '' ? firstAttempt : { ...firstAttempt, ...(JSON.parse(text) as AttemptState) }
}
