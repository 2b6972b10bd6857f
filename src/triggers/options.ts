// The options of a registration: checked, completed, and as they are kept.
import { checkInteger, checkOneOf, checkOptions, checkString, refuse } from '../pipeline/options.ts'
import type { RegisterOptions, TriggerKind } from '../pipeline/trigger.ts'

export interface TriggerOptions {
  readonly batch: number
  readonly maxWaitMs: number
  readonly ordered: boolean
  readonly concurrency: number
  readonly from: string
  readonly retries: number
  readonly backoffMs: number
  readonly afterwards: 'deadLetter' | 'stop'
  readonly retain: 'all' | 'processed'
  readonly timeoutMs: number
  /** Of calls: whoever called is told what failed, instead of a retry. */
  readonly replies: boolean
}

const nameRule = /^[\w.:-]{1,128}$/
const mostSeats = 1024

const mostOfId = 2n ** 64n - 1n

const ofCalls = ['version', 'batch', 'maxWaitMs', 'ordered', 'concurrency', 'timeoutMs']
const known = ['name', ...ofCalls, 'from', 'onFailure', 'retain']

/** Options of a command: its name is known, and whoever calls it is told what failed. Throws PLAN_OPTION. */
export function checkCommandOptions(options: unknown): void {
  checkOptions('register', options, ofCalls)
}

/** Throws PLAN_OPTION. */
export function checkRegisterOptions(options: unknown): void {
  checkOptions('register', options, known)
}

/** Throws PLAN_OPTION. */
export function checkRegister(
  kind: TriggerKind,
  options: RegisterOptions,
  timeoutMs: number,
): { readonly name: string; readonly version: number; readonly trigger: TriggerOptions } {
  checkRegisterOptions(options)
  const { name, version = 0, batch = 100, maxWaitMs = 0, ordered = true, concurrency = 1, from = 'start' } = options
  const { onFailure = {}, retain = 'all' } = options
  checkName(name)
  checkInteger('register', version, 0, 'version to be a whole number of at least 0')
  checkInteger('register', batch, 1, 'batch to be a whole number of at least 1')
  if (batch > 100_000) refuse('register', 'batch to be at most 100,000', batch)
  checkInteger('register', maxWaitMs, 0, 'maxWaitMs to be a whole number of at least 0')
  checkInteger('register', concurrency, 1, 'concurrency to be a whole number of at least 1')
  if (concurrency > mostSeats) refuse('register', `concurrency to be at most ${mostSeats}`, concurrency)
  if (typeof ordered !== 'boolean') refuse('register', 'ordered to be true or false', ordered)
  checkString('register', from, `from to be 'start', 'new' or the id of an entry`)
  const isId = /^\d{1,20}(-\d{1,20})?$/.test(from) && from.split('-').every((part) => BigInt(part) <= mostOfId)
  if (from !== 'start' && from !== 'new' && !isId) {
    refuse('register', `from to be 'start', 'new' or the id of an entry`, from)
  }
  checkOneOf('register', 'retain', retain, ['all', 'processed'])
  checkOptions('register: onFailure', onFailure, ['retries', 'backoffMs', 'then'])
  const { retries = 3, backoffMs = 200, then = 'deadLetter' } = onFailure
  checkInteger('register: onFailure', retries, 0, 'retries to be a whole number of at least 0')
  checkInteger('register: onFailure', backoffMs, 0, 'backoffMs to be a whole number of at least 0')
  checkOneOf('register: onFailure', 'then', then, ['deadLetter', 'stop'])
  const limit = options.timeoutMs ?? timeoutMs
  checkInteger('register', limit, 0, 'timeoutMs to be a whole number of at least 0')
  const replies = kind === 'command'
  const trigger = {
    batch,
    maxWaitMs,
    ordered,
    concurrency,
    from,
    retries,
    backoffMs,
    afterwards: then,
    retain,
    replies,
  }
  return { name, version, trigger: { ...trigger, timeoutMs: limit } }
}

export function checkName(name: unknown): void {
  if (typeof name !== 'string' || !nameRule.test(name)) {
    refuse('register', 'name to be 1 to 128 of letters, digits and _ . : -', name)
  }
}
