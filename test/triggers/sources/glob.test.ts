// Patterns mean what they mean to the server.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { matcherOf } from '../../../src/triggers/sources/glob.ts'
import { flush, raw, standalone } from '../../fixtures/servers.ts'

it('matches the keys that KEYS gives', async () => {
  const server = await standalone()
  const letters = fc.constantFrom('a', 'b', 'c', ':', '.', '-', '+', '$', '|', '(', '{')
  const key = fc.array(letters, { minLength: 1, maxLength: 4 }).map((all) => all.join(''))
  const part = fc.oneof(letters, fc.constantFrom('*', '?', '[ab]', '[a-c]', '[^a]', '\\*', '\\a', '**'))
  const pattern = fc.array(part, { minLength: 1, maxLength: 4 }).map((all) => all.join(''))
  await fc.assert(
    fc.asyncProperty(fc.uniqueArray(key, { minLength: 1, maxLength: 20 }), pattern, async (keys, glob) => {
      await flush()
      await raw(server, 'MSET', ...keys.flatMap((each) => [each, 'x']))
      const found = (await raw(server, 'KEYS', glob)) as string[]
      expect(keys.filter(matcherOf(glob)).toSorted()).toEqual([...found].toSorted())
    }),
    { numRuns: 100 },
  )
})
