// Times as users write them.
import { cron } from './cron.ts'
import { refuse } from './options.ts'

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 }

/** '30s' or milliseconds, in milliseconds. Throws PLAN_OPTION. */
export function durationOf(call: string, name: string, value: unknown, least: number): number {
  const [, count, unit] = typeof value === 'string' ? (/^(\d+(?:\.\d+)?)(ms|s|m|h|d)$/.exec(value) ?? []) : []
  const ms = typeof value === 'number' ? value : Number(count) * (units[unit ?? ''] ?? NaN)
  if (!Number.isSafeInteger(ms) || ms < least) {
    refuse(call, `${name} to be a time such as '30s' (ms, s, m, h, d) or whole milliseconds, at least ${least}`, value)
  }
  return ms
}

/** Throws PLAN_OPTION. */
export function checkCron(value: unknown): string {
  if (typeof value !== 'string') refuse('schedule', 'cron to be a text', value)
  try {
    if (cron(value).nextRun() === null) refuse('schedule', 'cron to name a time that is yet to come', value)
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error)
    refuse('schedule', `cron to be an expression such as '0 * * * *' (${why})`, value)
  }
  return value
}
