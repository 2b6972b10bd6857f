// Turns whatever was thrown into a Failure that can travel, and back into an error with the caller's stack.
import { GearmillError, RecordError, catalogue } from '../errors.ts'
import type { Failure } from './runner.ts'

/** `stack` is what the reader of the error should see first; the stack of what was thrown stays with its cause. */
export function failureOf(
  thrown: unknown,
  fallback: 'EXECUTION_RECORD' | 'EXECUTION_CRASHED' | 'CAPTURE_LOAD',
): Failure {
  if (thrown instanceof GearmillError) {
    return {
      code: thrown.code,
      message: thrown.message,
      hint: thrown.hint,
      ...(thrown.stack === undefined ? {} : { stack: thrown.stack }),
      ...(thrown.cause instanceof Error ? { cause: causeOf(thrown.cause) } : {}),
      ...(thrown instanceof RecordError ? { place: thrown.place, record: thrown.record } : {}),
    }
  }
  if (thrown instanceof Error) {
    return {
      code: fallback,
      message: thrown.message === '' ? thrown.name : thrown.message,
      ...(thrown.stack === undefined ? {} : { stack: thrown.stack }),
      cause: causeOf(thrown),
    }
  }
  return { code: fallback, message: `threw ${describe(thrown)}, which is not an Error` }
}

function causeOf(error: Error): NonNullable<Failure['cause']> {
  return { name: error.name, message: error.message, ...(error.stack === undefined ? {} : { stack: error.stack }) }
}

function describe(value: unknown): string {
  if (typeof value === 'string') return JSON.stringify(value.slice(0, 200))
  if (typeof value === 'object' && value !== null) {
    try {
      return (JSON.stringify(value) ?? 'an object').slice(0, 200)
    } catch {
      return 'an object'
    }
  }
  return String(value)
}

/** The error that a client sees for a failed record. */
export function recordErrorOf(failure: Failure): RecordError {
  const code = (failure.code in catalogue ? failure.code : 'EXECUTION_RECORD') as RecordError['code']
  const details = {
    ...(failure.worker === undefined ? {} : { worker: failure.worker }),
    ...(failure.record === undefined ? {} : { record: failure.record }),
    ...(failure.place === undefined ? {} : { place: failure.place }),
  }
  const options = {
    ...(failure.cause === undefined ? {} : { cause: thrownOf(failure.cause) }),
    ...(failure.hint === undefined ? {} : { hint: failure.hint }),
  }
  const error = new RecordError(code, failure.message, details, options)
  if (failure.stack !== undefined) error.stack = failure.stack
  return error
}

// What user code threw, as far as it travelled: an Error with its name, so that `cause.name` can be asked for.
function thrownOf(cause: NonNullable<Failure['cause']>): Error {
  const error = Object.assign(Object.create(Error.prototype) as Error, { message: cause.message })
  Object.defineProperty(error, 'name', { value: cause.name, enumerable: false })
  Object.defineProperty(error, 'stack', { value: cause.stack ?? `${cause.name}: ${cause.message}`, enumerable: false })
  return error
}
