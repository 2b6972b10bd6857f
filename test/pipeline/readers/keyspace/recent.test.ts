import fc from 'fast-check'
import { expect, test } from 'vitest'
import { RecentKeys } from '../../../../src/pipeline/readers/keyspace/recent.ts'
import { BulkColumn } from '../../../../src/redis/protocol/column.ts'

const remembered = 8192

function added(recent: RecentKeys, names: readonly string[]): boolean[] {
  const column = BulkColumn.of(names)
  return names.map((_, i) => recent.add(column, i))
}

test('a key is new once', () => {
  fc.assert(
    fc.property(fc.array(fc.oneof(fc.string(), fc.constantFrom('', 'a', 'b', 'k'.repeat(300)))), (names) => {
      const expected = names.map((name, i) => names.indexOf(name) === i)
      expect(added(new RecentKeys(), names)).toEqual(expected)
    }),
  )
})

test('as many as it is meant for are remembered, of twice as many none twice', () => {
  const recent = new RecentKeys()
  const names = Array.from({ length: 5 * remembered }, (_, i) => `key:${i}`)
  expect(added(recent, names)).not.toContain(false)
  expect(added(recent, names.slice(-remembered))).not.toContain(true)
  // Long forgotten.
  expect(added(recent, names.slice(0, 10))).not.toContain(false)
})

test('a key that comes again is new only if as many others came after it', () => {
  const recent = new RecentKeys()
  /** How many new keys there were when a name was new last. */
  const came = new Map<string, number>()
  let count = 0
  let random = 1
  for (let page = 0; page < 400; page++) {
    // Some names in each page twice, most from a range in which some are remembered and some are not; of any length.
    const names = Array.from({ length: 100 }, () => {
      random = (random * 48271) % 0x7fffffff
      const name = `key:${random % 20_000}`
      return random % 100 === 0 ? name.padEnd(3000, '.') : name
    })
    const column = BulkColumn.of(names)
    const wrong = names.filter((name, i) => {
      const last = came.get(name)
      const expected = last === undefined || count - last > remembered
      if (expected) came.set(name, ++count)
      return recent.add(column, i) !== expected
    })
    expect(wrong).toEqual([])
  }
  expect(count).toBeGreaterThan(2 * remembered)
})
