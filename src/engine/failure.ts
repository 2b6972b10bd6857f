// Turns whatever was thrown into a Failure that can travel, and back into an error with the caller's stack.
import { GearmillError, RecordError, catalogue } from '../errors.ts'
import type { Failure, FailureCause } from './runner.ts'

/** `stack` is what the reader of the error should see first; the stack of what was thrown stays with its cause. */
export function failureOf(
  thrown: unknown,
  fallback: 'EXECUTION_RECORD' | 'EXECUTION_CRASHED' | 'CAPTURE_LOAD',
): Failure {
  const error = errorIn(thrown)
  if (error instanceof GearmillError) {
    return {
      code: error.code,
      message: error.message,
      hint: error.hint,
      ...(error.stack === undefined ? {} : { stack: error.stack }),
      ...(error.cause instanceof Error ? { cause: causeOf(error.cause) } : {}),
      ...(error instanceof RecordError ? { place: error.place, record: error.record } : {}),
    }
  }
  if (error !== undefined) {
    return {
      code: fallback,
      message: error.message === '' ? error.name : clipped(error.message),
      ...(error.stack === undefined ? {} : { stack: clipped(error.stack) }),
      cause: causeOf(error),
    }
  }
  return { code: fallback, message: `threw ${describe(thrown)}, which is not an Error` }
}

/**
 * What was thrown, if it is an error that can be read as one: user code throws errors whose message is a number, or throws
 * itself.
 */
export function errorIn(thrown: unknown): Error | undefined {
  try {
    if (!(thrown instanceof Error)) return undefined
    const { name, message, stack } = thrown
    const isPlain = typeof name === 'string' && typeof message === 'string' && /^(string|undefined)$/.test(typeof stack)
    return isPlain ? thrown : (Object.create(thrown, plain({ name, message, stack: stack ?? '' })) as Error)
  } catch {
    return undefined
  }
}

function plain(texts: Readonly<Record<string, unknown>>): PropertyDescriptorMap {
  return Object.fromEntries(Object.entries(texts).map(([key, value]) => [key, { value: String(value) }]))
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
  const { name, message, stack } = error
  const cause = depth < deepestCause ? causeIn(error) : undefined
  const code = codeIn(error)
  return {
    name,
    message: clipped(message),
    ...(stack === undefined ? {} : { stack: clipped(stack) }),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(cause === undefined ? {} : { cause: causeOf(cause, depth + 1) }),
  }
}

function causeIn(error: Error): Error | undefined {
  try {
    return errorIn(error.cause)
  } catch {
    return undefined
  }
}

function codeIn(error: Error): unknown {
  try {
    return 'code' in error ? error.code : undefined
  } catch {
    return undefined
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
export function thrownOf(of: FailureCause): Error {
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
