// box, freeze and apply: effects that are frozen first and applied in chunks, each once.
import { expect, it } from 'vitest'
import { packedEffects, useLane } from './lane.ts'

const lane = useLane()
const name = '0.0'
const box = (x: string, entry: string, token: string, ...fields: string[]) =>
  lane.call('box', [x, lane.keys.tasks, `${x}:o:${name}.${token}`], entry, name, token, 60_000, ...fields)
const freeze = (x: string, entry: string, token: string, epoch = 0, slots = '', fields = 1, run = '') =>
  lane.call(
    'freeze',
    [x, lane.keys.tasks, `${x}:o:${name}.${token}`],
    entry,
    0,
    0,
    epoch,
    token,
    60_000,
    slots,
    fields,
    run,
  )
const apply = (x: string, chunk: number, commands: readonly string[][], skips: readonly string[] = []) => {
  const effects = packedEffects(commands.map((command) => [command]))
  return lane.call(
    'apply',
    [`${x}:m:${name}`, x],
    chunk,
    `o.${name}`,
    60_000,
    1,
    skips.length / 2,
    ...skips,
    ...effects,
  )
}

it('freezes one attempt, the first that asks, and tells the others', async () => {
  const x = await lane.submit('frozen', [1])
  const [entry = ''] = await lane.read('a')
  expect(await box(x, entry, '1', 'f', 'one')).toBe(1)
  await lane.command('XCLAIM', lane.keys.tasks, 'gm', 'b', 0, entry)
  expect(await box(x, entry, '2', 'f', 'two')).toBe(1)
  expect(await freeze(x, entry, '2', 0, '5 6')).toBe('2')
  expect(await freeze(x, entry, '2')).toBe('2')
  expect(await freeze(x, entry, '1')).toBe('2')
  expect(await lane.hash(`${x}:k`)).toEqual(
    new Map([
      ['o.0.0', '1 2'],
      ['m.0.0', '5 6'],
    ]),
  )
  // The commit removes both outboxes; a straggler is refused.
  expect(await lane.commit(x, entry, { token: '2' })).toEqual([1, 1, 0])
  expect(await lane.command('EXISTS', `${x}:o:0.0.1`, `${x}:o:0.0.2`)).toBe(0)
  expect(await box(x, entry, '1', 'f', 'late')).toBe(0)
  expect(await freeze(x, entry, '1')).toBe('')
})

it('freezes nothing for another epoch, or an entry that is settled', async () => {
  const x = await lane.submit('refused', [1])
  const [entry = ''] = await lane.read('a')
  expect(await freeze(x, entry, '1', 1)).toBe('')
  expect(await freeze(x, '1-1', '1')).toBe('')
})

it('freezes nothing that a server which went back in time has forgotten in part', async () => {
  const x = await lane.submit('partial', [1])
  const [entry = ''] = await lane.read('a')
  await box(x, entry, '1', 'f', 'one')
  expect(await freeze(x, entry, '1', 0, '', 2)).toBe('?')
  expect(await freeze(x, entry, '1', 0, '', 1, 'another')).toBe('?')
  expect(await freeze(x, entry, '1')).toBe('1')
})

it('has no effects to apply where a stage only makes its blocks again', async () => {
  const x = await lane.submit('rebuilt', [1, 1])
  const [entry = ''] = await lane.read('a')
  await lane.commit(x, entry, {})
  await lane.read('a')
  await lane.call('lost', [x, lane.keys.tasks, lane.keys.events], 0, 0, 8, '{}')
  const [again = ''] = await lane.read('a')
  expect(await freeze(x, again, '1-1', 1)).toBe('-')
})

it('applies chunks once, in order, and answers a repeated call as the first', async () => {
  await lane.command('SET', 'apply:text', 'no hash')
  const x = await lane.submit('chunks', [1])
  const [entry = ''] = await lane.read('a')
  expect(await apply(x, 0, [['INCR', 'apply:n']])).toEqual([-1])
  await freeze(x, entry, '1', 0, '', 0)
  const first = await apply(x, 0, [
    ['INCR', 'apply:n'],
    ['HSET', 'apply:text', 'a', 'b'],
    ['INCR', 'apply:n'],
  ])
  expect(first).toMatchObject([2, '1', expect.stringContaining('WRONGTYPE')])
  expect(await apply(x, 0, [['INCR', 'apply:n']])).toEqual(first)
  expect(await apply(x, 2, [['INCR', 'apply:n']])).toEqual([-2, 1])
  expect(await apply(x, 1, [['INCR', 'apply:n']])).toEqual([1])
  expect(await apply(x, 2, [['INCR', 'apply:n']])).toEqual([1])
  expect(await lane.command('GET', 'apply:n')).toBe('4')
  // A server that forgot the marker forgot the effects: the applier begins anew.
  await lane.command('DEL', `${x}:m:0.0`)
  expect(await apply(x, 3, [['INCR', 'apply:n']])).toEqual([-2, 0])
  await lane.commit(x, entry, {})
  expect(await apply(x, 3, [['INCR', 'apply:n']])).toEqual([-1])
})

it('runs nothing more of a record that failed in an earlier round', async () => {
  const x = await lane.submit('rounds', [1])
  const [entry = ''] = await lane.read('a')
  await freeze(x, entry, '1', 0, '', 0)
  const reply = await apply(
    x,
    0,
    [
      ['INCR', 'apply:a'],
      ['INCR', 'apply:b'],
    ],
    ['0', 'failed before'],
  )
  expect(reply).toEqual([1, '0', '13:failed before1:24:INCR7:apply:a'])
  expect(await lane.command('MGET', 'apply:a', 'apply:b')).toEqual([null, '1'])
})
