// What a script gives: what its last expression stands for, as JSON has it.
import { PlanError } from '../../errors.ts'

interface Runnable {
  run(): unknown
  explain(): unknown
}

/** Runs a pipeline, waits for an execution, names a trigger. Throws PLAN_RECORD for what is no JSON. */
export async function valueOf(last: unknown): Promise<unknown> {
  let value = last
  if (isRunnable(value)) value = await value.run()
  else if (has(value, 'result') && has(value, 'abort')) value = await (value as { result(): unknown }).result()
  else if (has(value, 'deadLetters') && has(value, 'remove'))
    value = { name: (value as unknown as { name: string }).name }
  if (value === undefined) return null
  try {
    const text = JSON.stringify(value, refusePipelines) as string | undefined
    if (text !== undefined) return JSON.parse(text)
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause)
    throw new PlanError('PLAN_RECORD', `the value of the script is no JSON: ${why}`, { cause })
  }
  throw new PlanError('PLAN_RECORD', `the value of the script is no JSON: a ${typeof value}`)
}

// As JSON it would be {}: whoever returns a list of pipelines meant to run them.
function refusePipelines(_key: string, value: unknown): unknown {
  if (isRunnable(value)) throw new TypeError('it holds a pipeline that was not run')
  return value
}

function has(value: unknown, method: string): value is object {
  return typeof value === 'object' && value !== null && typeof (value as Record<string, unknown>)[method] === 'function'
}

function isRunnable(value: unknown): value is Runnable {
  return has(value, 'run') && has(value, 'explain')
}
