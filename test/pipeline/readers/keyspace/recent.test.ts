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
