// CPU that a running process has used, its ended children not included. Linux only (/proc).
import { readFileSync } from 'node:fs'

/** USER_HZ, the unit of times in /proc, is 100 on every Linux that Node runs on. */
const ticksPerSecond = 100

/** Seconds, user and system. */
export function cpuSecondsOf(pid: number): number {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ')
  return (Number(fields[11]) + Number(fields[12])) / ticksPerSecond
}
