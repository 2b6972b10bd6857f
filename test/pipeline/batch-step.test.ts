// Steps that take records together, within the loop: order, origins and failures are those of a plain loop.
import fc from 'fast-check'
import { expect, test } from 'vitest'
import type { BatchStep, Settled, Step } from '../../src/pipeline/define.ts'
import { Chain } from '../../src/pipeline/fusion.ts'

const batch = (size: number, seen: number[]): BatchStep => ({
  shape: 'batch',
  size,
  call: async (records) => {
    seen.push(records.length)
    return (records as readonly number[]).map((n): Settled => (n % 7 === 3 ? { thrown: n } : { value: n * 10 }))
  },
})
const twice: Step = { shape: 'flat', call: (n) => ((n as number) % 5 === 0 ? [] : [n, n]) }
const odd: Step = { shape: 'filter', call: (n) => (n as number) % 20 !== 0 }

test('records go through in order, in batches of at most the size, and fail alone', async () => {
  const runs = fc.record({
    items: fc.array(fc.nat(100), { maxLength: 60 }),
    size: fc.integer({ min: 1, max: 20 }),
    opened: fc.boolean(),
    asynchronous: fc.boolean(),
  })
  await fc.assert(
    fc.asyncProperty(runs, async ({ items, size, opened, asynchronous }) => {
      const sizes: number[] = []
      const found: [unknown, number][] = []
      const failed: [unknown, number][] = []
      const first: Step = asynchronous ? { shape: 'map', call: async (n) => n } : { shape: 'map', call: (n) => n }
      const chain = new Chain(
        [first, ...(opened ? [twice] : []), batch(size, sizes), odd],
        (value, origin) => found.push([value, origin]),
        (_, __, origin, thrown) => failed.push([thrown, origin]),
      )
      expect(chain.wants).toBe(size)
      await chain.run(items, 0, items.length)
      const inputs = items.flatMap((n, origin) =>
        !opened ? [[n, origin] as const] : n % 5 === 0 ? [] : [[n, origin] as const, [n, origin] as const],
      )
      expect(failed).toEqual(inputs.filter(([n]) => n % 7 === 3))
      const good = inputs.filter(([n]) => n % 7 !== 3 && (n * 10) % 20 !== 0)
      expect(found).toEqual(good.map(([n, origin]) => [n * 10, origin]))
      expect(sizes.every((length) => length <= size && length > 0)).toBe(true)
      expect(sizes.slice(0, -1).every((length) => length === size)).toBe(true)
    }),
  )
})
