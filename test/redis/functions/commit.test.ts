// commit: at most once, whoever tries.
import { expect, it } from 'vitest'
import { useLane } from './lane.ts'

const lane = useLane()
const incr = [[['INCR', 'commit:n']]]

it('applies effects once, however often it is called', async () => {
  const x = await lane.submit('twice', [2])
  const [first = '', second = ''] = await lane.read('a', 2)
  expect(await lane.commit(x, first, { effects: incr })).toEqual([1, 0, 1])
  expect(await lane.commit(x, first, { effects: incr })).toEqual([0, 0, 0])
  expect(await lane.commit(x, second, { task: 1, effects: incr })).toEqual([1, 1, 1])
  expect(await lane.commit(x, second, { task: 1, effects: incr })).toEqual([0, 0, 0])
  expect(await lane.command('GET', 'commit:n')).toBe('2')
  const fields = await lane.hash(x)
  expect(Object.fromEntries(fields)).toMatchObject({ state: 'done', left: '0', 'k0.done': '2', written: '2' })
})

it('takes the first of two attempts that hold one entry, and records which it was', async () => {
  const x = await lane.submit('overtaken', [1, 1])
  const [entry = ''] = await lane.read('slow')
  await lane.command('XCLAIM', lane.keys.tasks, 'gm', 'quick', 0, entry)
  expect(await lane.commit(x, entry, { token: '2', effects: [[['INCR', 'commit:o']]] })).toEqual([1, 0, 1])
  expect(await lane.commit(x, entry, { effects: [[['INCR', 'commit:o']]] })).toEqual([0, 0, 0])
  expect(await lane.command('GET', 'commit:o')).toBe('1')
  expect(await lane.command('HGET', `${x}:w`, '0.0')).toBe('2')
  // The next stage was let in by the commit that counted.
  expect((await lane.hash(x)).get('stage')).toBe('1')
  const [next = ''] = await lane.read('quick')
  expect(await lane.commit(x, next, { stage: 1 })).toEqual([1, 1, 0])
})

it('stops a record at its first failure, keeps the rest as a dead letter, and goes on', async () => {
  await lane.command('SET', 'commit:text', 'no hash')
  const x = await lane.submit('failing', [1])
  const [entry = ''] = await lane.read('a')
  const record = [
    ['INCR', 'commit:p'],
    ['HSET', 'commit:text', 'f', 'v'],
    ['INCR', 'commit:q'],
  ]
  expect(await lane.commit(x, entry, { effects: [record, [['INCR', 'commit:p']]] })).toEqual([1, 1, 2])
  expect(await lane.command('GET', 'commit:p')).toBe('2')
  expect(await lane.command('EXISTS', 'commit:q')).toBe(0)
  const letter = (await lane.hash(`${x}:letters`)).get('0.0.0') ?? ''
  expect(letter).toContain('WRONGTYPE')
  expect(letter.endsWith('1:44:HSET11:commit:text1:f1:v1:24:INCR8:commit:q')).toBe(true)
  expect((await lane.hash(x)).get('errors')).toBe('1')
})

it('refuses what runs for an execution that ended, for one that is gone, and for an older epoch', async () => {
  const x = await lane.submit('aborted', [3])
  const [first = '', second = '', third = ''] = await lane.read('a', 3)
  await lane.command('HSET', x, 'epoch', 1)
  expect(await lane.commit(x, first, { effects: [[['INCR', 'commit:r']]] })).toEqual([0, 0, 0])
  await lane.call('abort', [x, lane.keys.events], '{}')
  expect(await lane.commit(x, second, { task: 1, effects: [[['INCR', 'commit:r']]] })).toEqual([-2, 0, 0])
  await lane.call('forget', [x, lane.keys.index], 'aborted')
  expect(await lane.commit(x, third, { task: 2, effects: [[['INCR', 'commit:r']]] })).toEqual([-1, 0, 0])
  expect(await lane.command('EXISTS', 'commit:r')).toBe(0)
})

it('ends an execution that has more failed records than allowed', async () => {
  const x = await lane.submit('limited', [3], { maxErrors: 1 })
  const [first = '', second = ''] = await lane.read('a', 2)
  expect(await lane.commit(x, first, { failed: 1 })).toEqual([1, 0, 0])
  expect(await lane.commit(x, second, { task: 1, failed: 1 })).toEqual([1, 1, 0])
  expect((await lane.hash(x)).get('state')).toBe('failed')
})

it('lets tasks in one by one, a window at most', async () => {
  const x = await lane.submit('windowed', [5], { window: 2 })
  const seen: string[] = []
  for (let task = 0; task < 5; task++) {
    expect(Number(await lane.command('XLEN', lane.keys.tasks))).toBeLessThanOrEqual(2 + 2)
    const [entry = ''] = await lane.read('w')
    seen.push(entry)
    await lane.commit(x, entry, { task })
  }
  expect(new Set(seen).size).toBe(5)
  expect((await lane.hash(x)).get('state')).toBe('done')
})

it('does nothing where the server is another run of it than the task built on', async () => {
  const x = await lane.submit('restarted', [1])
  const [entry = ''] = await lane.read('a', 100).then((entries) => entries.slice(-1))
  expect(await lane.commit(x, entry, { run: 'another' })).toEqual([-3, 0, 0])
  expect(await lane.commit(x, entry, { run: (await lane.hash(x)).get('run') ?? '' })).toEqual([1, 1, 0])
})
