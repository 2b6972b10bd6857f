// What the kernel says of a running process. Linux only (/proc).
import { readFileSync } from 'node:fs'

/** USER_HZ, the unit of times in /proc, is 100 on every Linux that Node runs on. */
export const ticksPerSecond = 100
const pageBytes = 4096

export interface Ticks {
  readonly user: number
  readonly system: number
}

export interface Sample {
  readonly pid: number
  readonly parent: number
  /** Since boot: with the pid it names one process for good. */
  readonly started: string
  readonly own: Ticks
  /** Of children that were reaped. */
  readonly children: Ticks
  readonly residentBytes: number
}

/** Reads /proc/PID/stat (man 5 proc); undefined where the process is gone. */
export function sample(pid: number | 'self'): Sample | undefined {
  let text: string
  try {
    text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  } catch {
    return undefined
  }
  // The name, in parentheses, may hold anything; fields are counted from behind it.
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  const number = (index: number): number => Number(fields[index - 3])
  return {
    pid: Number.parseInt(text),
    parent: number(4),
    started: fields[22 - 3] ?? '',
    own: { user: number(14), system: number(15) },
    children: { user: number(16), system: number(17) },
    residentBytes: number(24) * pageBytes,
  }
}

/** CPU seconds, user and system, its ended children not included. NaN where there is no such process. */
export function cpuSecondsOf(pid: number): number {
  const { own } = sample(pid) ?? { own: { user: NaN, system: NaN } }
  return (own.user + own.system) / ticksPerSecond
}
