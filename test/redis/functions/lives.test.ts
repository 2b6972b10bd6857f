// due, lost, again, agree, drop, keep, note and forget: how executions start late, go back, are kept, and go.
import { expect, it } from 'vitest'
import { useLane } from './lane.ts'

const lane = useLane()
const due = () => lane.call('due', [lane.keys.tasks, lane.keys.delayed, lane.keys.events], lane.keys.executions)
const drop = (x: string, entry: string, epoch = 0) => lane.call('drop', [lane.keys.tasks, x], entry, epoch)
const lost = (x: string, epoch: number, stage: number) =>
  lane.call('lost', [x, lane.keys.tasks, lane.keys.events], epoch, stage, 2, '{"code":"EXECUTION_BLOCK_LOST"}')
const tasksOf = async (entries: readonly string[]): Promise<string[]> => {
  const names: string[] = []
  for (const entry of entries) {
    const [[, fields] = ['', []]] = (await lane.command('XRANGE', lane.keys.tasks, entry, entry)) as [
      string,
      string[],
    ][]
    names.push(`${fields[3]}.${fields[5]} e${fields[7]}`)
  }
  return names
}

it('due: says when the next is due, and starts what is, once', async () => {
  const x = await lane.submit('late', [2], { delayMs: 3_600_000 })
  expect(await due()).toBeGreaterThan(3_500_000)
  expect((await lane.hash(x)).get('state')).toBe('waiting')
  await lane.command('ZADD', lane.keys.delayed, 1, 'start:late')
  expect(await due()).toBe(-1)
  expect(await due()).toBe(-1)
  expect(await lane.read('a', 10)).toHaveLength(2)
  await lane.call('abort', [x, lane.keys.events], '{}')
})

it('lost: makes the blocks of a stage again, then goes on where it was, committed tasks left out', async () => {
  const x = await lane.submit('rebuild', [2, 3])
  const [a = '', b = ''] = await lane.read('a', 10)
  await lane.commit(x, a, { effects: [[['INCR', 'lost:n']]] })
  await lane.commit(x, b, { task: 1, effects: [[['INCR', 'lost:n']]] })
  const [c = '', d = ''] = await lane.read('a', 10)
  await lane.commit(x, c, { stage: 1, effects: [[['INCR', 'lost:n']]] })
  expect(await lost(x, 0, 0)).toBe(1)
  expect(await lost(x, 0, 0)).toBe(0)
  // What ran is of an older epoch.
  expect(await lane.commit(x, d, { stage: 1, task: 1, effects: [[['INCR', 'lost:n']]] })).toEqual([0, 0, 0])
  const again = await lane.read('a', 10)
  expect(await tasksOf(again)).toEqual(['0.0 e1', '0.1 e1'])
  for (const [task, entry] of again.entries()) {
    await lane.commit(x, entry, { task, epoch: 1, token: '1-1', effects: [[['INCR', 'lost:n']]] })
  }
  const rest = await lane.read('a', 10)
  expect(await tasksOf(rest)).toEqual(['1.1 e1', '1.2 e1'])
  for (const [i, entry] of rest.entries()) {
    await lane.commit(x, entry, { stage: 1, task: i + 1, epoch: 1, token: '1-1', effects: [[['INCR', 'lost:n']]] })
  }
  expect((await lane.hash(x)).get('state')).toBe('done')
  expect(await lane.command('GET', 'lost:n')).toBe('5')
  expect(Object.fromEntries(await lane.hash(`${x}:w`))).toEqual({
    '0.0': '1-1',
    '0.1': '1-1',
    '1.1': '1-1',
    '1.2': '1-1',
  })
})

it('lost: gives up in the end', async () => {
  const x = await lane.submit('hopeless', [1, 1])
  const [a = ''] = await lane.read('a')
  await lane.commit(x, a, {})
  for (let epoch = 0; epoch < 2; epoch++) expect(await lost(x, epoch, 0)).toBe(1)
  expect((await lane.hash(x)).get('state')).toBe('running')
  expect(await lost(x, 2, 0)).toBe(1)
  expect((await lane.hash(x)).get('state')).toBe('failed')
})

const again = (x: string, epoch: number, stage: number) => lane.call('again', [x, lane.keys.tasks], epoch, stage, 2)

it('again: begins a stage anew, as if nothing of it had been committed', async () => {
  const x = await lane.submit('anew', [2, 1])
  const [a = '', b = ''] = await lane.read('a', 10)
  await lane.commit(x, a, { failed: 3, token: '2' })
  expect((await lane.hash(x)).get('errors')).toBe('3')
  expect(await again(x, 0, 1)).toBe(0)
  expect(await again(x, 0, 0)).toBe(1)
  expect(await again(x, 0, 0)).toBe(0)
  expect(await lane.commit(x, b, { task: 1 })).toEqual([0, 0, 0])
  const begun = await lane.hash(x)
  expect(begun.get('errors')).toBe('0')
  expect([...begun.keys()].filter((field) => field.startsWith('k0.'))).toEqual([])
  expect(await lane.command('EXISTS', `${x}:e`, `${x}:w`)).toBe(0)
  const entries = await lane.read('a', 10)
  expect(await tasksOf(entries)).toEqual(['0.0 e1', '0.1 e1'])
  for (const [task, entry] of entries.entries()) await lane.commit(x, entry, { task, epoch: 1, token: '1-1' })
  expect(await again(x, 1, 0)).toBe(0)
  const [last = ''] = await lane.read('a', 10)
  await lane.commit(x, last, { stage: 1, epoch: 1, token: '1-1' })
  const ended = await lane.hash(x)
  expect([ended.get('state'), ended.get('k0.done'), ended.get('k0.in')]).toEqual(['done', '2', '20'])
})

it('again: refuses where effects were applied or frozen, and in the end', async () => {
  const x = await lane.submit('final', [2, 1])
  const [a = '', b = ''] = await lane.read('a', 10)
  await lane.commit(x, a, { effects: [[['INCR', 'again:n']]] })
  expect(await again(x, 0, 0)).toBe(-1)
  await lane.commit(x, b, { task: 1 })
  // The next stage has done nothing yet.
  expect(await again(x, 0, 1)).toBe(1)
  await lane.command('HSET', x, 'o.1.0', '1')
  expect(await again(x, 1, 1)).toBe(-1)
  await lane.command('HDEL', x, 'o.1.0')
  expect(await again(x, 1, 1)).toBe(1)
  expect(await again(x, 2, 1)).toBe(-1)
  await lane.call('abort', [x, lane.keys.events], '{}')
  expect(await again(x, 2, 1)).toBe(0)
})

it('agree: gives what the first one said', async () => {
  const x = await lane.submit('agreed', [1])
  expect(await lane.call('agree', [x], 'a.0.0.n', 'one')).toBe('one')
  expect(await lane.call('agree', [x], 'a.0.0.n', 'two')).toBe('one')
  expect(await lane.call('agree', [x], 'a.1.0.n', 'two')).toBe('two')
  expect(await lane.call('agree', [`${x}.gone`], 'a.0.0.n', 'one')).toBe('')
  expect(await lane.command('EXISTS', `${x}.gone`)).toBe(0)
  await lane.call('abort', [x, lane.keys.events], '{}')
})

it('drop: forgets what means nothing any more, and only that', async () => {
  await lane.command('DEL', lane.keys.tasks)
  const x = await lane.submit('dropped', [2])
  const [a = '', b = ''] = await lane.read('a', 2)
  expect(await drop(x, a)).toBe(0)
  expect(await drop(x, a, 1)).toBe(1)
  await lane.call('abort', [x, lane.keys.events], '{}')
  expect(await drop(x, b)).toBe(1)
  expect(await lane.command('XLEN', lane.keys.tasks)).toBe(0)
})

it('keep: renews keys, outboxes and markers, and names the temporary keys that lie elsewhere', async () => {
  const x = await lane.submit('kept', [1], { leaseMs: 60_000 })
  const [entry = ''] = await lane.read('a')
  await lane.call('box', [x, lane.keys.tasks, `${x}:o:0.0.1`], entry, '0.0', '1', 30_000, 'f', 'v')
  await lane.command('SET', `${x}:m:0.0`, 'marker', 'PX', 30_000)
  expect(await lane.call('note', [x], 'elsewhere:{t}', 60_000)).toBe(1)
  expect(await lane.call('keep', [x, `${x}:k`, 'missing'], 90_000)).toEqual(['elsewhere:{t}'])
  for (const key of [x, `${x}:k`, `${x}:o:0.0.1`, `${x}:m:0.0`]) {
    expect(await lane.command('PTTL', key)).toBeGreaterThan(60_000)
  }
  await lane.call('abort', [x, lane.keys.events], '{}')
  expect(await lane.command('EXISTS', `${x}:o:0.0.1`, `${x}:m:0.0`)).toBe(0)
  expect(await lane.call('note', [x], 'elsewhere:{u}', 60_000)).toBe(0)
})

it('forget: removes all that an execution has, once it has ended', async () => {
  const x = await lane.submit('forgotten', [1])
  expect(await lane.call('forget', [x, lane.keys.index], 'forgotten')).toBe(0)
  const [entry = ''] = await lane.read('a', 10).then((entries) => entries.slice(-1))
  await lane.commit(x, entry, { failed: 1, token: '2' })
  expect(await lane.call('forget', [x, lane.keys.index], 'forgotten')).toBe(1)
  expect(await lane.command('KEYS', `${x}*`)).toEqual([])
  expect(await lane.command('ZSCORE', lane.keys.index, 'forgotten')).toBeNull()
})
