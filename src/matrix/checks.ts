// Checks of what the user gives to matrices: expected what, got what, and in which call.
import { inspect } from 'node:util'
import { MatrixError } from '../errors.ts'
import type { EvaluationOptions } from './work.ts'

/** A value as messages show it. */
export function shown(value: unknown): string {
  return inspect(value, { depth: 0, breakLength: Infinity, maxStringLength: 80, maxArrayLength: 5 })
}

/** MATRIX_OPTION with the call, what was expected and what came. */
export function refuse(call: string, expected: string, got: unknown): never {
  throw new MatrixError('MATRIX_OPTION', `${call}: expected ${expected}, got ${shown(got)}`)
}

export function checkNumber(call: string, name: string, value: unknown): number {
  if (typeof value !== 'number') refuse(call, `${name} to be a number`, value)
  return value
}

export function checkCount(
  call: string,
  name: string,
  value: unknown,
  least = 0,
  most = Number.MAX_SAFE_INTEGER,
): number {
  if (typeof value === 'number' && Number.isSafeInteger(value) && value >= least && value <= most) return value
  const range = most === Number.MAX_SAFE_INTEGER ? ` of at least ${least}` : ` from ${least} to ${most}`
  return refuse(call, `${name} to be a whole number${least === -Number.MAX_SAFE_INTEGER ? '' : range}`, value)
}

export function checkOneOf<T>(call: string, name: string, value: unknown, allowed: readonly T[]): T {
  if (!allowed.includes(value as T)) {
    refuse(call, `${name} to be ${allowed.map((one) => inspect(one)).join(' or ')}`, value)
  }
  return value as T
}

/** A mistyped option would be ignored silently. */
export function checkOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options)) {
    refuse(call, 'an object of options', options)
  }
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) refuse(call, `options among ${known.join(', ')}`, options)
  }
}

const counts = ['timeoutMs', 'maxAttempts', 'memoryMb', 'delayMs'] as const

/** Options of an evaluation. */
export function checkEvaluation(call: string, options: unknown): void {
  checkOptions(call, options, ['signal', 'priority', ...counts])
  const given = options as EvaluationOptions
  for (const name of counts) if (given[name] !== undefined) checkCount(call, name, given[name])
  const { priority, signal } = given
  if (priority !== undefined) checkCount(call, 'priority', priority, -Number.MAX_SAFE_INTEGER)
  if (signal !== undefined && !(signal instanceof AbortSignal)) refuse(call, 'signal to be an AbortSignal', signal)
}

export function checkPath(call: string, path: unknown): void {
  if (typeof path !== 'string' || path === '' || path.includes('\0')) refuse(call, 'the path of a file', path)
}

/** What separates the numbers of a line must not be a part of one. */
export function checkDelimiter(call: string, delimiter: unknown): void {
  if (delimiter === undefined || (typeof delimiter === 'string' && /^[^\d\n\r"+\-.a-z]+$/i.test(delimiter))) return
  refuse(call, 'delimiter to be a text that is no part of a number', delimiter)
}

/** The index, counted from the end where it is negative. Throws MATRIX_RANGE. */
export function placeOf(call: string, side: string, value: unknown, length: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) refuse(call, `${side} to be a whole number`, value)
  const place = value < 0 ? value + length : value
  if (place >= 0 && place < length) return place
  throw new MatrixError('MATRIX_RANGE', `${call}: there is no ${side} ${value} among ${length}`)
}

/** An end of a slice, as Array's slice() takes it. */
export function endOf(call: string, value: unknown, length: number): number {
  if (typeof value !== 'number' || !Number.isSafeInteger(value)) refuse(call, 'whole numbers', value)
  return value < 0 ? Math.max(0, value + length) : Math.min(value, length)
}
