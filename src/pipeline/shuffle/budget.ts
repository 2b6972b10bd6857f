// How much memory the tables and sorts of one task may take before they write to scratch files. Depends on configuration
// alone, never on what the process happens to use: what is spilled when is the same in every run.
import type { RunContext } from '../define.ts'

/** Limits of one table or sort. */
export interface Budget {
  readonly keys: number
  readonly bytes: number
}

const mebibyte = 1024 * 1024
const mostBytes = 64 * mebibyte
const leastBytes = 2 * mebibyte
// What an executor takes before it holds anything: Node itself, loaded code, and a young generation that is full.
const ownMb = 224
// A key with its entry takes about this much, so that neither limit comes long before the other.
const bytesOfKey = 134

export function budgetOfBytes(bytes: number): Budget {
  return { keys: Math.max(1, Math.floor(bytes / bytesOfKey)), bytes }
}

export const tableBudget: Budget = budgetOfBytes(mostBytes)

/** 64 MiB, or a quarter of what the execution's `memoryMb` leaves to a task, but no less than 2 MiB. */
export function budgetOf({ task, environment }: RunContext): Budget {
  if (environment.spillBytes !== undefined) return budgetOfBytes(environment.spillBytes)
  const { memoryMb } = task
  if (memoryMb === undefined) return tableBudget
  return budgetOfBytes(Math.min(mostBytes, Math.max(leastBytes, ((memoryMb - ownMb) * mebibyte) / 4)))
}
