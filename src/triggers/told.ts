// Errors of triggers, as they are written down and told.
import { catalogue, type ErrorCode } from '../errors.ts'
import type { TriggerError as Told } from '../pipeline/trigger.ts'

/** An error as it was written down; a code of another version of Gearmill is one of a record. */
export function toldError(told: {
  readonly code?: string | undefined
  readonly message?: string | undefined
  readonly stack?: string | undefined
}): Told {
  const { code = '', message = '', stack } = told
  const known = (code in catalogue ? code : 'EXECUTION_RECORD') as ErrorCode
  return { code: known, message, ...(stack === undefined ? {} : { stack }) }
}
