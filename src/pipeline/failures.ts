// What was thrown, as a failure that crosses processes: message, the stack of what was thrown and then the caller's, the
// record cut to a size that can be shown.
import { encodeRecords } from '../codec/frames.ts'
import { causeOf, clipped, errorIn } from '../engine/failure.ts'
import type { Failure } from '../engine/runner.ts'
import { GearmillError } from '../errors.ts'
import { longestText, shown } from './shown.ts'
import type { Site } from './site.ts'

const largestRecord = 4096

export interface FailureDetails {
  readonly record?: unknown
  readonly place?: string
  /** The operation, as in `map(f)`. */
  readonly operation?: string
  readonly site?: Site
}

/** A failure of anything that was thrown. */
export function failureOf(thrown: unknown, details: FailureDetails = {}): Failure {
  const { operation, site, place } = details
  const error = errorIn(thrown)
  const known = error instanceof GearmillError
  const what = error === undefined ? shown(thrown) : clipped(`${error.name}: ${error.message}`)
  const message = known ? error.message : `${operation ?? 'a function'} threw ${what}`
  const stack = [clipped(error?.stack ?? message), site?.stack ?? ''].filter((part) => part !== '').join('\n')
  return {
    code: known ? error.code : 'EXECUTION_RECORD',
    message,
    stack,
    ...(known ? { hint: error.hint } : {}),
    ...(known ? {} : { cause: error === undefined ? { name: typeof thrown, message: shown(thrown) } : causeOf(error) }),
    ...('record' in details ? { record: cut(details.record) } : {}),
    ...(place === undefined ? {} : { place }),
  }
}

/** A record that was found to end its executor: the engine knows why, the pipeline what it was. */
export function completed(failure: Failure, details: FailureDetails): Failure {
  const { operation, site, place } = details
  const message = operation === undefined ? failure.message : `${operation}: ${failure.message}`
  const stack = [failure.stack ?? message, site?.stack ?? ''].filter((part) => part !== '').join('\n')
  return {
    ...failure,
    message,
    stack,
    ...('record' in details ? { record: cut(details.record) } : {}),
    ...(place === undefined ? {} : { place }),
  }
}

/** The record itself where it is small and can travel, else a text that shows it. */
function cut(record: unknown): unknown {
  if (typeof record === 'string') return record.length <= longestText ? record : `${record.slice(0, longestText)}...`
  if (typeof record !== 'object' || record === null)
    return typeof record === 'function' || typeof record === 'symbol' ? shown(record) : record
  try {
    if (encodeRecords([record]).length <= largestRecord) return record
  } catch {
    // Shown instead.
  }
  return shown(record)
}
