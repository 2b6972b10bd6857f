// What register() refuses, before anything is stored.
import { afterEach, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { flush, raw, standalone } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})
const start = async (): Promise<Mill> => {
  const mill = await connect((await standalone()).url, { workers: 'remote' })
  open.push(mill)
  return mill
}
const refused = { code: 'PLAN_OPTION' }

it('refuses options of any wrong kind, and leaves nothing behind', async () => {
  const mill = await start()
  const wrong: unknown[] = [
    ...[undefined, null, 'x', 5, [], {}],
    ...['', ' ', 'ü', 'a/b', 'a'.repeat(129), '@tap', 'a\n', 5, null].map((name) => ({ name })),
    ...[-1, 1.5, NaN, '1', null].map((version) => ({ name: 'x', version })),
    ...[0, NaN, '1', null, 100_001].map((batch) => ({ name: 'x', batch })),
    ...[-1, Infinity, '1', null].map((maxWaitMs) => ({ name: 'x', maxWaitMs })),
    ...[0, 1025, '1', null].map((concurrency) => ({ name: 'x', concurrency })),
    ...['yes', 1, null].map((ordered) => ({ name: 'x', ordered })),
    ...['', '$', '>', 5, null, '1-', '-1', '99999999999999999999', '1-18446744073709551616'].map((from) => ({
      name: 'x',
      from,
    })),
    ...[null, 5, [], { retry: 1 }, { retries: -1 }, { retries: Infinity }, { backoffMs: NaN }].map((onFailure) => ({
      name: 'x',
      onFailure,
    })),
    ...['x', null].map((retain) => ({ name: 'x', retain })),
    ...[-1, NaN, '5'].map((timeoutMs) => ({ name: 'x', timeoutMs })),
    { name: 'x', bach: 5 },
  ]
  const pipeline = mill.stream('s').write(() => ['INCR', 'n'])
  for (const options of wrong) {
    await expect(pipeline.register(options as { name: string }), JSON.stringify(options)).rejects.toMatchObject(refused)
  }
  expect(await raw(await standalone(), 'KEYS', '*')).toEqual([])
})

it('refuses key events without a list of names', async () => {
  const mill = await start()
  for (const list of [null, [], 'set', 5]) {
    expect(() => mill.keyEvents('a*', { events: list as string[] })).toThrow(expect.objectContaining(refused))
    expect(() => mill.keyEvents('a*', { types: list as 'string'[] })).toThrow(expect.objectContaining(refused))
  }
})

it('refuses commands that are no functions, and options that a command has not', async () => {
  const mill = await start()
  for (const f of [undefined, null, 'x', {}]) {
    expect(() => mill.command('c', f as () => string)).toThrow(expect.objectContaining(refused))
  }
  const wrong = [
    null,
    5,
    { name: 'd' },
    { from: 'new' },
    { retain: 'all' },
    { onFailure: { retries: 1 } },
    { batch: 0 },
  ]
  for (const options of wrong) {
    await expect(mill.command('c', () => 1).register(options as object), JSON.stringify(options)).rejects.toMatchObject(
      refused,
    )
  }
})

it('refuses joins: a trigger has one reader', async () => {
  const mill = await start()
  const joined = mill.stream('a').join(mill.keys('b*'), { on: ({ key }) => key })
  await expect(joined.forEach(() => undefined).register({ name: 'x' })).rejects.toMatchObject(refused)
})
