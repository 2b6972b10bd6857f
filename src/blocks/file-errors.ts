// What the operating system refuses, as coded errors.
import { GearmillError, PlanError } from '../errors.ts'

export function codeOf(error: unknown): unknown {
  return error instanceof Error && 'code' in error ? error.code : undefined
}

/** EXECUTION_BLOCK_SPACE where the disk or a quota is full, else PlanError PLAN_FILE. */
export function fileError(error: unknown, action: 'make' | 'read' | 'remove' | 'write', path: string): GearmillError {
  if (error instanceof GearmillError) return error
  const code = codeOf(error)
  if (code === 'ENOSPC' || code === 'EDQUOT') {
    return new GearmillError('EXECUTION_BLOCK_SPACE', `cannot ${action} ${path}: the disk is full (${code})`, {
      cause: error,
    })
  }
  const reason = error instanceof Error ? error.message : String(error)
  return new PlanError('PLAN_FILE', `cannot ${action} ${path}: ${reason}`, { cause: error })
}
