// What the executor parts of users' readers, operations and sinks give, which types alone do not keep from being wrong: what
// cannot be used is refused by name, and what is thrown says whose it is.
import type { Command } from '../engine/runner.ts'
import { GearmillError, PlanError, RecordError } from '../errors.ts'
import type { BatchStep, Gather, ReadBatch, Step } from './define.ts'
import { failureOf } from './failures.ts'
import { checkFunction, checkOneOf, refuse } from './options.ts'
import type { StepProgram } from './program.ts'
import { brief } from './shown.ts'

const shapes = ['map', 'filter', 'tap', 'flat', 'key', 'batch', 'gather'] as const

/** Throws PLAN_OPTION. */
export function checkStep({ text }: StepProgram, step: Step | BatchStep | Gather | undefined): void {
  if (typeof step !== 'object' || step === null) refuse(text, 'step() to give { shape, call }', step)
  checkOneOf(text, 'the shape of step()', step.shape, shapes)
  const calls = step.shape === 'gather' ? (['add', 'end'] as const) : (['call'] as const)
  for (const name of calls) {
    checkFunction(text, Reflect.get(step, name), `${name} of step() to be a function`)
  }
}

/** The records of a reader. Throws PLAN_OPTION, or what the reader threw. */
export async function* batchesOfReader(call: StepProgram, read: () => unknown): AsyncGenerator<ReadBatch> {
  try {
    const reads = read()
    if (!isIterable(reads)) refuse(call.text, 'read() to give an iterable or async iterable', reads)
    for await (const given of reads) {
      if (isIterable(given)) yield { batch: { kind: 'records', records: [...(given as Iterable<unknown>)] } }
      else if (typeof given === 'object' && given !== null && 'batch' in given) yield given as ReadBatch
      else refuse(call.text, 'read() to yield arrays of records', given)
    }
  } catch (thrown) {
    throw thrownBy(call.text, thrown, call.stack)
  }
}

/** An object that can be iterated, one way or the other. */
export function isIterable(value: unknown): value is Iterable<unknown> | AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && (Symbol.asyncIterator in value || Symbol.iterator in value)
}

/** Commands for one record. Throws PLAN_RECORD. */
export function checkedCommands(given: unknown): readonly Command[] {
  if (given === undefined || given === null) return []
  if (!Array.isArray(given) || !given.every((one) => Array.isArray(one) && typeof one[0] === 'string')) {
    const expected = "a list of commands such as [['RPUSH', key, value]]"
    throw new PlanError('PLAN_RECORD', `effects: expected ${expected}, got ${brief(given)}`)
  }
  return given as readonly Command[]
}

/** Errors of Gearmill as they are; others as the failure of the whole task, which may be tried again. */
export function thrownBy(text: string, thrown: unknown, stack = ''): GearmillError {
  if (thrown instanceof GearmillError) return thrown
  const failure = failureOf(thrown, { operation: text, site: { place: '', stack } })
  const error = new RecordError('EXECUTION_RECORD', failure.message, {}, { cause: thrown })
  if (failure.stack !== undefined) error.stack = failure.stack
  return error
}
