// When the next tick is due: laws of nextTick.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { nextTick } from '../../src/triggers/sources/schedule.ts'

const minute = 60_000

describe('nextTick', () => {
  it('comes after the last one, on the grid of `every`, and in the future or just now', () => {
    const times = fc.record({ every: fc.integer({ min: 1, max: 1e8 }), last: fc.nat(1e12), over: fc.nat(1e9) })
    fc.assert(
      fc.property(times, fc.constantFrom('skip' as const, 'once' as const), ({ every, last, over }, missed) => {
        const now = last + over
        const next = nextTick({ kind: 'schedule', every, missed }, last, now)
        expect((next as { at: number }).at).toBeGreaterThan(last)
        expect(((next as { at: number }).at - last) % every).toBe(0)
        expect(next?.at).toBeGreaterThan(now - Math.max(every, 1000))
      }),
    )
  })

  it('skips what was missed, or makes one of it', () => {
    const last = 10 * minute
    const now = 15 * minute + 30_000
    const skip = { kind: 'schedule', cron: '* * * * *', missed: 'skip' } as const
    expect(nextTick(skip, last, now)).toEqual({ at: 16 * minute, missed: 5 })
    expect(nextTick({ ...skip, missed: 'once' }, last, now)).toEqual({ at: 15 * minute, missed: 4 })
    expect(nextTick(skip, last, last + 100)).toEqual({ at: 11 * minute, missed: 0 })
  })
})
