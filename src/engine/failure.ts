// Turns whatever was thrown into a Failure that can travel, and back into an error with the caller's stack.
import { GearmillError, RecordError, catalogue } from '../errors.ts'
import type { Failure, FailureCause } from './runner.ts'

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
      message: thrown.message === '' ? thrown.name : clipped(thrown.message),
      ...(thrown.stack === undefined ? {} : { stack: clipped(thrown.stack) }),
      cause: causeOf(thrown),
    }
  }
  return { code: fallback, message: `threw ${describe(thrown)}, which is not an Error` }
}

/** Of messages and stacks; some hold what they are about as a whole. */
const longestText = 64 * 1024

export function clipped(text: string): string {
  return text.length <= longestText ? text : `${text.slice(0, longestText)}...`
}

/** Causes of causes that travel. */
const deepestCause = 4

/** An error as it travels, with its own causes. */
export function causeOf(error: Error, depth = 1): FailureCause {
  const { name, message, stack, cause } = error
  const code: unknown = 'code' in error ? error.code : undefined
  return {
    name,
    message: clipped(message),
    ...(stack === undefined ? {} : { stack: clipped(stack) }),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(cause instanceof Error && depth < deepestCause ? { cause: causeOf(cause, depth + 1) } : {}),
  }
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

const builtin: ReadonlyMap<string, object> = new Map(
  [EvalError, RangeError, ReferenceError, SyntaxError, TypeError, URIError].map((one) => [one.name, one.prototype]),
)

/** What user code threw, as far as it travelled: an error of the language's own class, or an Error with its name. */
function thrownOf(of: FailureCause): Error {
  const { name, message, code, cause } = of
  const error = Object.create(builtin.get(name) ?? Error.prototype) as Error
  const hidden = (key: string, value: unknown): void =>
    void Object.defineProperty(error, key, { value, configurable: true, writable: true, enumerable: false })
  hidden('message', message)
  if (!builtin.has(name)) hidden('name', name)
  hidden('stack', of.stack ?? `${name}: ${message}`)
  if (code !== undefined) Object.assign(error, { code })
  if (cause !== undefined) hidden('cause', thrownOf(cause))
  return error
}
