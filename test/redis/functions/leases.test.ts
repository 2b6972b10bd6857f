// take and renew: whose a task is.
import { expect, it } from 'vitest'
import { useLane } from './lane.ts'

const lane = useLane()
const take = async (consumer: string, leaseMs: number, most = 10) =>
  (await lane.call('take', [lane.keys.tasks], consumer, leaseMs, most)) as [string, number, string[]][]
const renew = (consumer: string, ...entries: string[]) => lane.call('renew', [lane.keys.tasks], consumer, ...entries)
/** Makes an entry look as if nobody had renewed it for so long. */
const idle = (consumer: string, entry: string, ms: number) =>
  lane.command('XCLAIM', lane.keys.tasks, 'gm', consumer, 0, entry, 'IDLE', ms, 'JUSTID')

it('takes over what nobody renewed for a lease, and counts deliveries', async () => {
  await lane.submit('expired', [3])
  const [old = '', fresh = ''] = await lane.read('a', 2)
  await idle('a', old, 5000)
  const taken = await take('b', 4000)
  expect(taken.map(([entry, deliveries]) => [entry, deliveries])).toEqual([[old, 2]])
  expect(taken[0]?.[2].slice(0, 2)).toEqual(['x', 'expired'])
  expect(await take('c', 4000)).toEqual([])
  await idle('b', old, 5000)
  expect((await take('c', 4000))[0]?.slice(0, 2)).toEqual([old, 3])
  await idle('a', fresh, 5000)
  await idle('c', old, 5000)
  expect(await take('d', 4000, 1)).toHaveLength(1)
})

it('renews what is still held, without counting a delivery, and never steals back', async () => {
  const x = await lane.submit('held', [2])
  const [mine = '', lost = ''] = await lane.read('e', 10)
  await idle('e', mine, 5000)
  await lane.command('XCLAIM', lane.keys.tasks, 'gm', 'thief', 0, lost)
  expect(await renew('e', mine, lost, '1-1')).toEqual([mine])
  const pending = (await lane.command('XPENDING', lane.keys.tasks, 'gm', mine, mine, 1)) as unknown[][]
  expect(pending[0]?.[1]).toBe('e')
  expect(pending[0]?.[2]).toBeLessThan(5000)
  expect(pending[0]?.[3]).toBe(1)
  const thief = (await lane.command('XPENDING', lane.keys.tasks, 'gm', lost, lost, 1)) as unknown[][]
  expect(thief[0]?.[1]).toBe('thief')
  await lane.commit(x, mine, {})
  expect(await renew('e', mine)).toEqual([])
})

it('takes and renews nothing where the stream is gone', async () => {
  await lane.command('DEL', lane.keys.tasks)
  expect(await renew('a', '1-1')).toEqual([])
  expect(await take('a', 10)).toEqual([])
})

it('gives a worker what is its own without its knowing', async () => {
  await lane.submit('own', [3])
  const [known = '', forgotten = ''] = await lane.read('f', 2)
  const [other = ''] = await lane.read('g', 1)
  const taken = (await lane.call('take', [lane.keys.tasks], 'f', 60_000, 10, 'own', known)) as [string, number][]
  expect(taken.map(([entry, deliveries]) => [entry, deliveries])).toEqual([[forgotten, 2]])
  expect(await renew('g', other)).toEqual([other])
})
