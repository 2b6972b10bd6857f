// realm_own, realm_renew, realm_leave, realm_report, realm_stats: who keeps a realm, and what its processes take.
import { expect, it } from 'vitest'
import { until } from '../../fixtures/servers.ts'
import { useLane } from './lane.ts'

const lane = useLane()
let names = 0
const newRealm = (): string => `${lane.keys.executions}realm:${names++}`
const own = (r: string, owner: string, ttl: number, memory = 0) => lane.call('realm_own', [r], owner, ttl, memory)
const stats = (r: string) => lane.call('realm_stats', [r])
const exists = (r: string) => lane.command('EXISTS', r, `${r}:owners`, `${r}:live`)

it('is there as long as anybody keeps it', async () => {
  const r = newRealm()
  expect(await own(r, 'c.a', 60_000)).toBe(0)
  expect(await lane.command('PTTL', r)).toBeGreaterThan(0)
  expect(await own(r, 't.b', 0)).toBe(0)
  expect(await lane.command('PTTL', r)).toBe(-1)
  expect(await stats(r)).toEqual([2, 0, 0, 0])
  expect(await lane.call('realm_leave', [r], 't.b')).toBe(1)
  expect(await lane.command('PTTL', r)).toBeGreaterThan(0)
  expect(await lane.call('realm_leave', [r], 't.b')).toBe(1)
  expect(await lane.call('realm_leave', [r], 'c.a')).toBe(0)
  expect(await exists(r)).toBe(0)
})

it('keeps the memory limit that its first owner named', async () => {
  const r = newRealm()
  expect(await own(r, 'c.a', 60_000, 256)).toBe(256)
  expect(await own(r, 'c.b', 60_000, 512)).toBe(256)
  expect(await own(r, 'c.b', 60_000)).toBe(256)
})

it('forgets owners that give no sign of life, and itself with the last of them', async () => {
  const r = newRealm()
  await own(r, 'c.short', 1)
  await until(async () => (await exists(r)) === 0)
  await own(r, 'c.long', 60_000)
  await own(r, 'c.short', 1)
  await until(async () => ((await stats(r)) as number[])[0] === 1)
  expect(await lane.call('realm_renew', [r], 60_000, 'c.short', 'c.long')).toBe(1)
})

it('adds up what processes say, and keeps the most', async () => {
  const r = newRealm()
  const report = (worker: string, complete: 0 | 1, peak: number, ...processes: number[]) =>
    lane.call('realm_report', [r], worker, 60_000, complete, peak, processes.length / 2, ...processes)
  expect(await report('w', 1, 0, 11, 100)).toEqual([0])
  expect(await exists(r)).toBe(0)
  await own(r, 'c.a', 60_000)
  expect(await report('w', 1, 0, 11, 100, 12, 50)).toEqual([1])
  expect(await report('w2', 0, 0, 11, 30)).toEqual([1])
  expect(await stats(r)).toEqual([1, 3, 180, 180])
  // A process that starts says so by itself; what the worker does not name is gone.
  expect(await report('w', 0, 0, 13, 20)).toEqual([1])
  expect(await stats(r)).toEqual([1, 4, 200, 200])
  expect(await report('w', 1, 500, 12, 60)).toEqual([1])
  expect(await stats(r)).toEqual([1, 2, 90, 530])
})

it('tells of several realms at once which are gone', async () => {
  const [there, gone] = [newRealm(), newRealm()]
  await own(there, 'c.a', 60_000)
  const args = ['w', 60_000, 1, 0, 1, 11, 100, 0, 1, 11, 100]
  expect(await lane.call('realm_report', [there, gone], ...args)).toEqual([1, 0])
})
