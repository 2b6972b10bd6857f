// Checks of what the user gives, made where the pipeline is built: expected what, got what, and in which call.
import { inspect } from 'node:util'
import { PlanError } from '../errors.ts'

/** PLAN_OPTION with the call, what was expected and what came. */
export function refuse(call: string, expected: string, got: unknown): never {
  const shown = inspect(got, { depth: 1, breakLength: Infinity, maxStringLength: 80, maxArrayLength: 5 })
  throw new PlanError('PLAN_OPTION', `${call}: expected ${expected}, got ${shown}`)
}

export function checkFunction(call: string, value: unknown, what = 'a function'): void {
  if (typeof value !== 'function') refuse(call, what, value)
}

export function checkString(call: string, value: unknown, what = 'a string'): void {
  if (typeof value !== 'string') refuse(call, what, value)
}

export function checkInteger(call: string, value: unknown, least: number, what: string): void {
  if (typeof value !== 'number' || !Number.isSafeInteger(value) || value < least) refuse(call, what, value)
}

export function checkOneOf(call: string, name: string, value: unknown, allowed: readonly string[]): void {
  if (typeof value !== 'string' || !allowed.includes(value)) {
    refuse(call, `${name} to be ${allowed.map((one) => `'${one}'`).join(' or ')}`, value)
  }
}

/** An options object without names that nobody knows: a mistyped one would be ignored silently. */
export function checkOptions(call: string, options: unknown, known: readonly string[]): void {
  if (typeof options !== 'object' || options === null || Array.isArray(options))
    refuse(call, 'an object of options', options)
  for (const name of Object.keys(options)) {
    if (!known.includes(name)) refuse(call, `options among ${known.join(', ')}`, options)
  }
}
