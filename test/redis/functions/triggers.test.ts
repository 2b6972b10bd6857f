// The server functions of triggers, one by one: what each refuses, does once, and leaves behind.
import { beforeEach, expect, it } from 'vitest'
import { Packr } from 'msgpackr'
import { useLane } from './lane.ts'

const lane = useLane()
const packr = new Packr({ useRecords: false, moreTypes: false })
const names = [
  'stream',
  'fences',
  'counters',
  'retries',
  'due',
  'letters',
  'outboxes',
  'registry',
  'seats',
  'live',
] as const
const more = ['events', 'trigger', 'program', 'code', 'marks', 'taps'] as const
type Name = (typeof names)[number] | (typeof more)[number]

let run = 0
let key: Readonly<Record<Name, string>>
beforeEach(() => {
  run += 1
  const all = [...names, ...more].map((name) => [name, `{gm0}:${run}:${name}`])
  key = Object.fromEntries(all) as Record<Name, string>
})

const attach = (consumer: string, fence: number, { makes = '1', kept = 0 } = {}) =>
  lane.call('trigger_attach', [key.stream, key.fences], 'g', consumer, fence, 'f', '0', makes, kept)
const add = (n: number) => lane.command('XADD', key.stream, '*', 'n', n) as Promise<string>
const read = (consumer: string, count = 10) =>
  lane.command('XREADGROUP', 'GROUP', 'g', consumer, 'COUNT', count, 'STREAMS', key.stream, '>')

interface Commit {
  readonly fence?: number
  readonly mode?: 'new' | 'again'
  readonly ids: readonly string[]
  readonly ok?: number
  readonly effects?: readonly unknown[]
  readonly box?: string
  readonly failed?: readonly (string | number | Buffer)[]
}
const commit = ({ fence = 1, mode = 'new', ids, ok = ids.length, effects, box = '', failed = [] }: Commit) =>
  lane.call(
    'trigger_commit',
    [key.stream, key.fences, key.counters, key.retries, key.due, key.letters, key.outboxes],
    ...['g', 'f', fence, mode, '', ids.length, ok, '', box, box === '' ? '' : 'box-1'],
    ...[effects === undefined ? '' : packr.pack(effects), ids.length, ...ids, ...failed],
  )

it('trigger_attach makes stream and group once, and refuses an older holder', async () => {
  expect(await attach('s0', 5, { makes: '0' })).toEqual([-1])
  expect(await attach('s0', 5)).toEqual([1, 0])
  expect(await attach('s0', 4)).toEqual([0])
  expect(await attach('s0', 6)).toEqual([1, 0])
  await lane.command('SET', key.letters, 'x')
  const other = await lane.call('trigger_attach', [key.letters, key.fences], 'g', 's0', 7, 'f', '0', '1', 0)
  expect(other).toEqual([-2, 'string'])
})

it('trigger_attach takes over what seats that are gone left pending', async () => {
  await attach('s3', 1)
  await add(1)
  await read('s3')
  // Of two seats that compete the other one keeps what it has.
  expect(await attach('s0', 2, { kept: 4 })).toEqual([1, 0])
  expect(await lane.command('XPENDING', key.stream, 'g', '-', '+', 10, 's0')).toEqual([])
  expect(await attach('s0', 3, { kept: 2 })).toEqual([1, 0])
  expect(await lane.command('XPENDING', key.stream, 'g', '-', '+', 10, 's0')).toHaveLength(1)
})

it('trigger_commit acknowledges and applies once, for the holder of the fence', async () => {
  await attach('s0', 1)
  const ids = [await add(1), await add(2)]
  await read('s0')
  const effects = [1, ['INCR', key.code], 2, ['INCR', key.code]]
  expect(await commit({ fence: 0, ids, effects })).toEqual([-1])
  expect(await commit({ ids, effects })).toEqual([2, 2, 0])
  expect(await commit({ ids, effects })).toEqual([0])
  expect(await lane.command('GET', key.code)).toBe('2')
  expect(await lane.hash(key.counters)).toEqual(
    new Map([
      ['events', '2'],
      ['successes', '2'],
    ]),
  )
})

it('trigger_commit keeps the rest of a record whose command the server refuses, and goes on with others', async () => {
  await attach('s0', 1)
  const ids = [await add(1), await add(2)]
  await read('s0')
  await lane.command('SET', key.code, 'text')
  const list = `${key.code}:list`
  const effects = [1, ['RPUSH', list, 'a'], 1, ['INCR', key.code], 1, ['RPUSH', list, 'b'], 2, ['RPUSH', list, 'c']]
  expect(await commit({ ids, effects })).toEqual([2, 2, 1])
  expect(await lane.command('LRANGE', list, 0, -1)).toEqual(['a', 'c'])
  const letters = await lane.hash(key.letters)
  expect([...letters.keys()]).toEqual([`${ids[0] ?? ''} 0 ${key.stream}`])
  expect([...letters.values()][0]).toContain(`4:INCR`)
  expect((await lane.hash(key.counters)).get('failures')).toBe('1')
})

it('trigger_commit writes down retries, dead letters and outboxes in the call that acknowledges', async () => {
  await attach('s0', 1)
  const ids = [await add(1), await add(2)]
  await read('s0')
  const failed = [`${ids[0] ?? ''} 0 s`, 1, 60_000, 'again', `${ids[1] ?? ''} 0 s`, 3, -1, 'dead']
  expect(await commit({ ids, ok: 0, failed, box: 'effects' })).toEqual([2, 0, 0])
  expect(await lane.hash(key.retries)).toEqual(new Map([[failed[0], '1 again']]))
  expect(await lane.command('ZCARD', key.due)).toBe(1)
  expect((await lane.hash(key.letters)).get(String(failed[4]))).toMatch(/^R3 \d+ dead$/)
  expect(await lane.hash(key.outboxes)).toEqual(new Map([['box-1', 'effects']]))
  // A retry is settled by its name, once.
  const again = { mode: 'again', ids: [String(failed[0])] } as const
  expect(await commit(again)).toEqual([1, 0, 0])
  expect(await commit(again)).toEqual([0])
  expect(await lane.command('EXISTS', key.retries, key.due)).toBe(0)
})

it('trigger_settle ends an outbox once', async () => {
  await lane.command('HSET', key.outboxes, 'box', 'effects')
  const settle = () =>
    lane.call('trigger_settle', [key.outboxes, key.letters, key.counters], 'box', 3, 'field', '3:why')
  expect(await settle()).toBe(1)
  expect(await settle()).toBe(0)
  expect(await lane.hash(key.counters)).toEqual(
    new Map([
      ['successes', '2'],
      ['failures', '1'],
    ]),
  )
  expect((await lane.hash(key.letters)).get('field')).toMatch(/^E1 \d+ 3:why$/)
})

it('trigger_replay takes letters that are as they were read', async () => {
  await lane.command('HSET', key.letters, 'event', 'R2 7 record', 'effect', 'E1 7 commands', 'changed', 'R1 8 new')
  const keys = [key.letters, key.retries, key.due, key.outboxes]
  const list = ['event', 'R2 7 record', '', 'effect', 'E1 7 commands', 'box', 'changed', 'R1 7 old', '']
  expect(await lane.call('trigger_replay', keys, ...list)).toBe(2)
  expect(await lane.hash(key.retries)).toEqual(new Map([['event', '0 record']]))
  expect([...(await lane.hash(key.outboxes)).values()]).toEqual(['box'])
  expect([...(await lane.hash(key.letters)).keys()]).toEqual(['changed'])
})

const put = (version: number, { kind = 'stream', revision = `r${version}` } = {}) =>
  lane.call(
    'trigger_put',
    [key.registry, key.trigger, key.events, key.program, key.program],
    ...['name', kind, version, revision, 1, '{}', '{}', '', ''],
  )

it('trigger_put replaces by version, and only what is of its kind', async () => {
  expect(await put(1)).toEqual([-2])
  await lane.command('SET', key.program, 'plan', 'PX', 60_000)
  expect(await put(2)).toEqual([1, '', ''])
  expect(await lane.command('PTTL', key.program)).toBe(-1)
  expect(await put(1)).toEqual([-1, '2'])
  expect(await put(3, { kind: 'keys' })).toEqual([-3, 'stream'])
  expect(await put(3)).toEqual([1, key.program, ''])
  expect((await lane.hash(key.trigger)).get('rev')).toBe('r3')
})

it('trigger_state moves what is there, but nothing that is removed', async () => {
  const move = (state: string) => lane.call('trigger_state', [key.trigger, key.events], 'name', state, '')
  expect(await move('paused')).toBe(0)
  await lane.command('HSET', key.trigger, 'rev', 'r', 'state', 'running')
  expect(await move('removed')).toBe(1)
  expect(await move('running')).toBe(0)
  expect((await lane.hash(key.trigger)).get('state')).toBe('removed')
  expect(await lane.command('XLEN', key.events)).toBe(1)
})

it('trigger_seats shares places, and has a tap for each primary where there are key triggers', async () => {
  const prefix = `${key.trigger}:`
  const seats = (worker: string) =>
    lane.call('trigger_seats', [key.registry, key.seats, key.live], prefix, worker, 60_000, '@tap', 2) as Promise<
      (string | number)[]
    >
  expect(await seats('w1')).toEqual([0])
  await lane.command('HSET', `${prefix}a`, 'seats', 2, 'rev', 'r', 'state', 'running', 'kind', 'stream')
  await lane.command('HSET', key.registry, 'a', 'r')
  expect((await seats('w1')).filter((_, i) => i % 5 === 1)).toEqual(['a', 'a'])
  // A second worker gets what is free: nothing, until the first gives back.
  expect(await seats('w2')).toEqual([1])
  const [, , , fence] = await seats('w1')
  const release = (given: string | number | undefined) =>
    lane.call('trigger_release', [key.seats, key.live, key.events], 'w1', 0, '0.a', given ?? '')
  expect(await release(1)).toBe(0)
  expect(await release(fence)).toBe(1)
  expect((await seats('w2')).slice(0, 3)).toEqual([1, 'a', 0])
  await lane.command('HSET', `${prefix}k`, 'seats', 1, 'rev', 'r', 'state', 'paused', 'kind', 'keys')
  await lane.command('HSET', key.registry, 'k', 'r')
  const all = [...(await seats('w1')), ...(await seats('w2'))]
  expect(all.filter((value) => value === '@tap')).toHaveLength(2)
  // With the last key trigger the places of taps go.
  const forget = () => lane.call('trigger_forget', [key.registry, key.seats, key.live, key.events, key.taps], prefix)
  await lane.command('HDEL', key.registry, 'k')
  expect(await forget()).toBe(1)
  expect([...(await lane.hash(key.seats)).keys()].toSorted()).toEqual(['0.a', '1.a'])
  await lane.command('HDEL', key.registry, 'a')
  expect(await forget()).toBe(0)
  expect(await lane.command('EXISTS', key.seats, key.live)).toBe(0)
})

it('trigger_tap appends with its position, once, and for triggers that are still there', async () => {
  await lane.command('HSET', key.seats, '0.@tap', 'w 7 99 tap')
  await lane.command('HSET', key.trigger, 'created', '5', 'state', 'running')
  const tap = (fence: number, from: string, to: string, created = '5', entries = ['a', 'b']) =>
    lane.call(
      'trigger_tap',
      [key.seats, key.taps, key.trigger, key.stream, key.marks],
      ...['0.@tap', fence, 'p', from, to, created, '3 r', '', entries.length, ...entries],
    )
  expect(await tap(6, '', 'x 1 0')).toBe(-1)
  expect(await tap(7, 'x 0 0', 'x 1 0')).toBe(-1)
  expect(await tap(7, '', 'x 1 0')).toBe(2)
  // The answer was lost, and it is called again.
  expect(await tap(7, '', 'x 1 0')).toBe(0)
  expect(await lane.command('XLEN', key.stream)).toBe(2)
  expect(await lane.hash(key.marks)).toEqual(new Map([['p', '3 r']]))
  // Another trigger of its name, or one that is being removed, gets nothing; the position moves on.
  expect(await tap(7, 'x 1 0', 'x 2 0', '4')).toBe(0)
  await lane.command('HSET', key.trigger, 'state', 'removed')
  expect(await tap(7, 'x 2 0', 'x 3 0')).toBe(0)
  expect(await lane.command('XLEN', key.stream)).toBe(2)
  expect(await lane.hash(key.taps)).toEqual(new Map([['p', 'x 3 0']]))
})

it('trigger_tick adds each tick once, for the holder of the fence', async () => {
  await lane.command('HSET', key.fences, 'f', 2)
  const tick = (fence: number, at: number) =>
    lane.call('trigger_tick', [key.trigger, key.stream, key.fences], 'f', fence, at, 0)
  expect(await tick(1, 1000)).toBe(-1)
  expect(await tick(2, 1000)).toBe(1)
  expect(await tick(2, 1000)).toBe(0)
  expect(await tick(2, 2000)).toBe(1)
  expect(await lane.command('XLEN', key.stream)).toBe(2)
})

it('trigger_trim removes what every group has processed, and nothing that one has not', async () => {
  const trim = () => lane.call('trigger_trim', [key.stream])
  expect(await trim()).toBe(0)
  await attach('s0', 1)
  for (let n = 0; n < 5; n++) await add(n)
  await lane.command('XGROUP', 'CREATE', key.stream, 'slow', '0')
  await read('s0', 5)
  expect(await trim()).toBe(0)
  await lane.command('XGROUP', 'DESTROY', key.stream, 'slow')
  // The third is pending.
  const pending = (await lane.command('XPENDING', key.stream, 'g', '-', '+', 10)) as string[][]
  const ids = pending.map(([id = '']) => id)
  await lane.command('XACK', key.stream, 'g', ...[ids[0], ids[1], ids[3], ids[4]].map(String))
  expect(await trim()).toBe(2)
  expect(await lane.command('XLEN', key.stream)).toBe(3)
})
