// Dates and instants. A date is days since 1970-01-01 (i32). An instant is milliseconds since then (i64), with the
// offset of its zone in minutes (i16) where it has one.
import { InPlaceCodec, misfit, type SlotTarget } from '../codec.ts'
import { schemaOf, type Node, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'

/** A calendar day: a Date at midnight UTC. Strings `'2024-02-29'` are taken too. */
export const date: Schema<Date> = schemaOf({ kind: 'date' })

/**
 * An instant, as Date. A `ZonedDate` keeps its offset; strings as `'2024-02-29T12:00:00+01:00'` are taken too and keep
 * theirs.
 */
export const datetime: Schema<Date> = schemaOf({ kind: 'datetime' })

const DAY = 86_400_000
const NO_ZONE = -0x8000
const MOST_DAYS = 100_000_000
const MOST_MS = MOST_DAYS * DAY
const MOST_OFFSET = 24 * 60

/** A Date that knows the offset of the zone it was written in. */
export class ZonedDate extends Date {
  /** Minutes east of UTC. */
  readonly offset: number

  /** `offset`: minutes east of UTC, -1440 to 1440. */
  constructor(value: number | string | Date, offset: number) {
    super(value)
    this.offset = offset
  }

  /** `2024-02-29T12:00:00.000+01:00`: the time on the clocks of its zone. */
  override toISOString(): string {
    if (Number.isNaN(this.getTime())) return super.toISOString()
    const local = new Date(this.getTime() + this.offset * 60_000).toISOString().slice(0, -1)
    const minutes = Math.abs(this.offset)
    const two = (n: number) => String(n).padStart(2, '0')
    return `${local}${this.offset < 0 ? '-' : '+'}${two(Math.floor(minutes / 60))}:${two(minutes % 60)}`
  }
}

const isoDay = /^(?:\d{4}|[+-]\d{6})-\d\d-\d\d/
const isoZone = /(?:(z)|([+-])(\d\d):?(\d\d))$/i

/** Whether a day is in the calendar: Date.parse takes February 30 for March 1. */
function isInCalendar(day: string): boolean {
  const ms = Date.parse(day)
  return !Number.isNaN(ms) && new Date(ms).toISOString().startsWith(day)
}

/** The time of what a user gave for an instant, and the offset of its zone if it has one. */
function instant(value: unknown): { readonly ms: number; readonly offset?: number } | undefined {
  if (value instanceof ZonedDate) return { ms: value.getTime(), offset: value.offset }
  if (value instanceof Date) return { ms: value.getTime() }
  if (typeof value !== 'string') return undefined
  const [day] = isoDay.exec(value) ?? []
  const zone = isoZone.exec(value)
  if (day === undefined || !zone || value[day.length] !== 'T') return undefined
  const ms = isInCalendar(day) ? Date.parse(value) : NaN
  const minutes = Number(zone[3] ?? 0) * 60 + Number(zone[4] ?? 0)
  return zone[1] ? { ms } : { ms, offset: zone[2] === '-' ? -minutes : minutes }
}

export class DateCodec extends InPlaceCodec {
  readonly node: Node = { kind: 'date' }
  readonly size = 4
  readonly align = 4

  /** Days since 1970-01-01. Errors: `BUFFER_VALUE`. */
  check(value: unknown): number {
    const text = typeof value === 'string' && /^\d{4}-\d\d-\d\d$/.test(value) && isInCalendar(value)
    const ms = text ? Date.parse(value) : value instanceof Date ? value.getTime() : NaN
    const days = ms / DAY
    return Number.isInteger(days) ? days : misfit(this.node, value, 'a Date at midnight UTC')
  }

  write(target: SlotTarget, slot: number, value: unknown): void {
    target.view.setInt32(slot - target.base, this.check(value), true)
  }

  read(segment: Segment, slot: number): Date {
    const days = segment.view.getInt32(slot, true)
    if (Math.abs(days) > MOST_DAYS) segment.fault(`the date ${days} at ${slot}`)
    return new Date(days * DAY)
  }
}

export class DatetimeCodec extends InPlaceCodec {
  readonly node: Node = { kind: 'datetime' }
  readonly size = 16
  readonly align = 8

  write(target: SlotTarget, slot: number, value: unknown): void {
    const { ms, offset } = instant(value) ?? misfit(this.node, value, 'a Date, or an ISO string with its offset')
    if (Number.isNaN(ms)) misfit(this.node, value, 'a valid Date')
    if (offset !== undefined && !(Number.isInteger(offset) && Math.abs(offset) <= MOST_OFFSET)) {
      misfit(this.node, offset, `an offset of -${MOST_OFFSET} to ${MOST_OFFSET} minutes`)
    }
    const at = slot - target.base
    target.view.setBigInt64(at, BigInt(ms), true)
    target.view.setInt16(at + 8, offset ?? NO_ZONE, true)
  }

  read(segment: Segment, slot: number): Date {
    const ms = segment.view.getInt32(slot + 4, true) * 2 ** 32 + segment.view.getUint32(slot, true)
    const offset = segment.view.getInt16(slot + 8, true)
    if (Math.abs(ms) > MOST_MS) segment.fault(`the time ${ms} at ${slot}`)
    if (offset === NO_ZONE) return new Date(ms)
    if (Math.abs(offset) > MOST_OFFSET) segment.fault(`the zone ${offset} at ${slot}`)
    return new ZonedDate(ms, offset)
  }
}
