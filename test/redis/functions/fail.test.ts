// fail: gives a task back, for those who hold it.
import { expect, it } from 'vitest'
import { useLane } from './lane.ts'

const lane = useLane()
const fail = (x: string, entry: string, worker: string, options: { counted?: number; failure?: string } = {}) => {
  const { tasks, delayed, events } = lane.keys
  const { counted = 1, failure = '' } = options
  return lane.call('fail', [x, tasks, delayed, events], entry, 0, 0, 0, 2, 0, counted, 'notes', failure, worker)
}
const due = () => lane.call('due', [lane.keys.tasks, lane.keys.delayed, lane.keys.events], lane.keys.executions)

it('lets the task in again as the next attempt, with what it must know', async () => {
  const x = await lane.submit('again', [1])
  const [entry = ''] = await lane.read('a')
  expect(await fail(x, entry, 'a')).toBe(1)
  expect(await fail(x, entry, 'a')).toBe(0)
  expect(await lane.command('ZCARD', lane.keys.delayed)).toBe(1)
  expect(await due()).toBe(-1)
  const [next = ''] = await lane.read('b')
  const [[, fields] = []] = (await lane.command('XRANGE', lane.keys.tasks, next, next)) as [string, string[]][]
  expect(fields).toEqual(['x', 'again', 's', '0', 't', '0', 'e', '0', 'a', '2', 'c', 'notes'])
  expect((await lane.hash(x)).get('retries')).toBe('1')
  expect(await lane.commit(x, next, { token: '2' })).toEqual([1, 1, 0])
})

it('leaves a task alone that another worker has taken over', async () => {
  const x = await lane.submit('taken', [1])
  const [entry = ''] = await lane.read('a')
  await lane.command('XCLAIM', lane.keys.tasks, 'gm', 'b', 0, entry)
  expect(await fail(x, entry, 'a')).toBe(0)
  expect(await fail(x, entry, 'a', { failure: '{"code":"EXECUTION_CRASHED"}' })).toBe(0)
  expect(await lane.command('ZCARD', lane.keys.delayed)).toBe(0)
  expect(await lane.commit(x, entry, { token: '2' })).toEqual([1, 1, 0])
})

it('ends the execution where a failure is given, and does not count what was unharmed', async () => {
  const x = await lane.submit('over', [2])
  const [entry = '', other = ''] = await lane.read('a', 2)
  expect(await fail(x, entry, 'a', { counted: 0, failure: '{"code":"PLAN_X"}' })).toBe(1)
  const fields = await lane.hash(x)
  expect([fields.get('state'), fields.get('retries'), fields.get('failure')]).toEqual([
    'failed',
    '0',
    '{"code":"PLAN_X"}',
  ])
  expect(await lane.commit(x, other, { task: 1 })).toEqual([-2, 0, 0])
})

it('does nothing where the stream is gone', async () => {
  const x = await lane.submit('gone', [1])
  const [entry = ''] = await lane.read('a')
  await lane.command('DEL', lane.keys.tasks)
  expect(await fail(x, entry, 'a')).toBe(0)
})
