// Values that cannot travel are made where they are used: `with({ db: onWorker(() => connectToDb()) })`.
import { PlanError } from '../errors.ts'

// Registered, so that two copies of this module (a client's and a worker's) agree on it.
const brand: unique symbol = Symbol.for('gearmill.onWorker')

/** A recipe for a value that each executor makes for itself. */
export interface OnWorker<T> {
  readonly [brand]: true
  readonly make: () => T | Promise<T>
}

/** What functions get for a value given to `with()`. */
export type Resource<T> = T extends OnWorker<infer Made> ? Made : T

/**
 * Makes a value once per executor, at its first use there, instead of shipping it; it is closed with the executor
 * (by `Symbol.asyncDispose`, `Symbol.dispose`, `close()`, `quit()`, `end()` or `destroy()`, the first that it has).
 * @param make runs in the executor, sync or async.
 * @throws PlanError PLAN_OPTION
 * @example pipeline.with({ db: onWorker(() => connectToDb()) }).map((row, { db }) => db.insert(row))
 */
export function onWorker<T>(make: () => T | Promise<T>): OnWorker<T> {
  if (typeof make !== 'function') {
    throw new PlanError('PLAN_OPTION', `onWorker: expected a function that makes the value, got ${typeof make}`)
  }
  return Object.freeze({ [brand]: true as const, make })
}

export function isOnWorker(value: unknown): value is OnWorker<unknown> {
  return typeof value === 'object' && value !== null && brand in value
}
