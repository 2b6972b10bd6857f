// Ranges of SCAN: reversed cursors, and slots.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Topology } from '../../src/redis/deployment.ts'
import { readNodes, covers, shared } from '../../src/redis/ownership.ts'
import { reversed, scanOrderOf, scanRangeOf } from '../../src/redis/scan-order.ts'
import { slotOf } from '../../src/redis/slots.ts'

const topology = (cluster: boolean, name: 'redis' | 'valkey', ...version: [number, number, number]): Topology => ({
  cluster,
  shards: [],
  server: { name, version },
})

describe('the order of SCAN', () => {
  it('is that of one table, or of one table a slot, by version', () => {
    expect(scanOrderOf(topology(false, 'redis', 7, 0, 15))).toBe('reversed')
    expect(scanOrderOf(topology(true, 'redis', 7, 2, 4))).toBe('reversed')
    expect(scanOrderOf(topology(true, 'redis', 7, 4, 0))).toBe('slots')
    expect(scanOrderOf(topology(false, 'redis', 8, 0, 0))).toBe('reversed')
    expect(scanOrderOf(topology(true, 'redis', 8, 2, 0))).toBe('slots')
    expect(scanOrderOf(topology(true, 'valkey', 7, 2, 5))).toBe('reversed')
    expect(scanOrderOf(topology(true, 'valkey', 8, 0, 0))).toBe('slots')
    expect(scanOrderOf(topology(false, 'redis', 12, 0, 0))).toBe('unknown')
  })

  it('reverses 64 bits', () => {
    expect(reversed(1n)).toBe(1n << 63n)
    expect(reversed(0x8000_0001n)).toBe(0x8000_0001_0000_0000n)
    fc.assert(
      fc.property(fc.bigInt(0n, (1n << 64n) - 1n), (value) => {
        const text = value.toString(2).padStart(64, '0')
        expect(reversed(value)).toBe(BigInt(`0b${Array.from(text).reverse().join('')}`))
        expect(reversed(reversed(value))).toBe(value)
      }),
    )
  })

  it('walks each bucket of a table in one range', () => {
    fc.assert(
      fc.property(fc.integer({ min: 6, max: 12 }), fc.integer({ min: 0, max: 6 }), (bits, log) => {
        // The cursors of a table that SCAN walks a bucket at a time.
        const count = 2 ** log
        const seen = new Map<string, number>()
        for (let index = 0; index < count; index++) {
          const range = scanRangeOf('reversed', index, count, false, [[0, 16383]])
          const mask = (1n << BigInt(bits)) - 1n
          let cursor = BigInt(range.start)
          do {
            const bucket = String(cursor & mask)
            seen.set(bucket, (seen.get(bucket) ?? 0) + 1)
            cursor = BigInt.asUintN(
              64,
              reversed(BigInt.asUintN(64, reversed(cursor | (~mask & ((1n << 64n) - 1n))) + 1n)),
            )
          } while (!range.ends(String(cursor)))
        }
        expect(seen.size).toBe(2 ** bits)
        expect([...seen.values()].every((times) => times === 1)).toBe(true)
      }),
    )
  })

  it('gives each key to one range of slots', () => {
    const slots = [
      [100, 5000],
      [9000, 9100],
      [16000, 16383],
    ] as const
    fc.assert(
      fc.property(fc.string(), fc.constantFrom(1, 2, 16, 64), (key, count) => {
        const ranges = Array.from({ length: count }, (_, i) => scanRangeOf('slots', i, count, true, slots))
        const slot = slotOf(key)
        const owned = slots.some(([first, last]) => first <= slot && slot <= last)
        expect(ranges.filter((range) => range.owns(key)).length).toBe(owned ? 1 : 0)
        const owner = ranges.find((range) => range.owns(key))
        if (owner === undefined) return
        // It is walked to: it lies behind the start, and a cursor in its slot is not the end.
        expect(slot).toBeGreaterThanOrEqual(Number(owner.start))
        expect(owner.ends(String((7n << 14n) | BigInt(slot)))).toBe(false)
      }),
      { numRuns: 30 },
    )
  })
})

describe('who has slots', () => {
  it('is read from the line of the node itself', () => {
    const reply =
      'aa 127.0.0.1:1@2,host master - 0 1 3 connected 0-5\n' +
      'bb 127.0.0.1:3@4 myself,master - 0 0 7 connected 6-9 11 [9->-cc] [12-<-dd]\n'
    expect(readNodes(reply)).toEqual({
      epoch: '7',
      slots: [
        [6, 9],
        [11, 11],
      ],
      moving: [9, 12],
    })
    expect(readNodes('bb 127.0.0.1:3@4 myself,slave aa 0 0 7 connected\n').slots).toEqual([])
  })

  it('covers and shares ranges', () => {
    expect(
      covers(
        [
          [5, 9],
          [0, 4],
        ],
        [[2, 7]],
      ),
    ).toBe(true)
    expect(
      covers(
        [
          [0, 4],
          [6, 9],
        ],
        [[2, 7]],
      ),
    ).toBe(false)
    expect(covers([], [])).toBe(true)
    expect(
      shared(
        [
          [0, 4],
          [6, 9],
        ],
        [[3, 7]],
      ),
    ).toEqual([
      [3, 4],
      [6, 7],
    ])
  })
})
