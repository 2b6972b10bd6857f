// What the death of an executor means for the task it ran: try again, look closer, step over the record that kills, or
// give up.
//
// The executor notes which records it is about to run (the position) where its supervisor can read it after a death.
// First death: the batch is suspect, and the next attempt runs its records one by one. Deaths after that name one
// record; when the same record was there at two of them, and at as many deaths as a task may have, it is stepped over
// and reported, and the count starts again. A task whose deaths name no record gives up when its attempts are used up.
// One death alone never condemns a record: whoever kills executors at random would lose data.

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
  /** How often in a row the suspect was this one record. */
  readonly hits: number
  /** Records that are stepped over: index, and why. */
  readonly skip: readonly SkippedRecord[]
  /** Workers that lack what the task needs. */
  readonly unable: readonly string[]
}

export type DeathCode = 'EXECUTION_CRASHED' | 'EXECUTION_TIMEOUT' | 'EXECUTION_MEMORY'

export interface SkippedRecord {
  readonly index: number
  readonly code: DeathCode
  readonly message: string
}

export const firstAttempt: AttemptState = { deaths: 0, hits: 0, skip: [], unable: [] }

/** At most so many records of one task are stepped over; a function that kills on every record is not worth more. */
const mostSkipped = 100

export interface Verdict {
  readonly again: boolean
  readonly state: AttemptState
  /** Before the next attempt, in milliseconds. */
  readonly delayMs: number
}

/** Delays between attempts, in milliseconds; the last one repeats. */
export const backoffMs = [100, 400, 1600, 5000] as const

export function judgeDeath(
  state: AttemptState,
  death: { readonly code: DeathCode; readonly message: string; readonly position?: Position | undefined },
  maxAttempts: number,
): Verdict {
  const { position } = death
  const deaths = state.deaths + 1
  const limit = maxAttempts === 0 ? Infinity : maxAttempts
  const delayMs = backoffMs[Math.min(deaths - 1, backoffMs.length - 1)] as number
  const single = position?.count === 1
  const hits = single && state.suspect?.count === 1 && state.suspect.index === position.index ? state.hits + 1 : 1

  // A found record needs two deaths at it, and no fewer deaths than a task may have.
  if (single && hits >= Math.min(2, limit) && deaths >= Math.min(limit, 3) && state.skip.length < mostSkipped) {
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
