// Ticks: `every` so often, or by a cron expression. A seat adds each to the trigger's own stream when it is due.
import { cron } from '../../pipeline/cron.ts'
import type { Tick } from '../../pipeline/readers/events.ts'
import type { Reply } from '../../redis/deployment.ts'
import { textMapOf } from '../../redis/replies.ts'
import type { EventSource, SourceDescription } from './source.ts'

export type Schedule = Extract<SourceDescription, { readonly kind: 'schedule' }>

/** Due ticks that are counted as missed, at most. */
const mostMissed = 10_000

export function scheduleSource(stream: string): EventSource {
  return {
    streams: { key: stream },
    deletes: true,
    binary: false,
    record: (_stream, _id, event): Tick => {
      const fields = textMapOf(event as Reply[])
      return { at: Number(fields.get('at')), missed: Number(fields.get('missed')) }
    },
  }
}

export interface NextTick {
  readonly at: number
  readonly missed: number
}

/**
 * The tick to come after `last`. Ticks that are over count as missed; `once` makes the latest of them due now.
 * @param last the last tick, or when the trigger was registered; in milliseconds, as `now`
 */
export function nextTick(schedule: Schedule, last: number, now: number): NextTick | undefined {
  const after = (time: number): number | undefined => {
    if (schedule.every !== undefined) return time + schedule.every
    return cron(schedule.cron ?? '')
      .nextRun(new Date(time))
      ?.getTime()
  }
  let next = after(last)
  // A little late is not missed.
  if (next === undefined || next > now - graceOf(schedule))
    return next === undefined ? undefined : { at: next, missed: 0 }
  let missed = 0
  let latest = next
  if (schedule.every === undefined) {
    while (next !== undefined && next <= now && missed < mostMissed) {
      latest = next
      missed += 1
      next = after(next)
    }
    if (next !== undefined && next <= now) next = after(now)
  } else {
    const steps = Math.floor((now - next) / schedule.every)
    latest = next + steps * schedule.every
    missed = Math.min(mostMissed, steps + 1)
    next = latest + schedule.every
  }
  if (schedule.missed === 'once') return { at: latest, missed: missed - 1 }
  return next === undefined ? undefined : { at: next, missed }
}

/** How late a tick may be and still count: a worker that takes over needs a moment. */
function graceOf({ every }: Schedule): number {
  return every === undefined ? 1000 : Math.min(1000, every / 2)
}
