// Triggers over the death of their server.
import { expect, it } from 'vitest'
import { connect, type KeyEvent } from '../../src/index.ts'
import { startServer } from '../../src/server/standalone.ts'
import { until } from '../fixtures/servers.ts'

const logger = { debug() {}, info() {}, warn() {}, error() {} }

it('has every effect of a stream once over kill -9 and a restart from AOF', { timeout: 120_000 }, async () => {
  await using server = await startServer({ persistence: 'aof', config: { appendfsync: 'always' } })
  await using mill = await connect({ url: server.url, executors: 1, logger })
  const trigger = await mill
    .stream('s')
    .write((entry) => ['HINCRBY', 'times', entry.value.n ?? '', 1])
    .register({ name: 'restarts', batch: 20 })
  const count = 1000
  await Promise.all(Array.from({ length: count }, (_, n) => mill.redis.xAdd('s', '*', { n: String(n) })))
  await until(async () => (await trigger.status()).successes > 100)
  await server.kill()
  await server.restart()
  await until(async () => (await trigger.status()).successes === count)
  expect(await mill.redis.hLen('times')).toBe(count)
  expect(new Set(await mill.redis.hVals('times'))).toEqual(new Set(['1']))
})

it(
  'reports what it missed of keys as one gap, and reads the keys again where asked',
  { timeout: 120_000 },
  async () => {
    await using server = await startServer({ persistence: 'aof', config: { appendfsync: 'always' } })
    await using mill = await connect({ url: server.url, executors: 1, logger })
    await mill
      .keyEvents('k:*', { rescan: true })
      .write((event) => ['RPUSH', 'seen', JSON.stringify(event)])
      .register({ name: 'gaps' })
    const seen = async (): Promise<KeyEvent[]> =>
      (await mill.redis.lRange('seen', 0, -1)).map((text) => JSON.parse(text) as KeyEvent)
    await mill.redis.set('k:1', 'a')
    await until(async () => (await seen()).length === 1)
    await server.kill()
    await server.restart()
    await until(async () => (await seen()).some(({ event }) => event === 'rescan'))
    await mill.redis.set('k:2', 'b')
    await until(async () => (await seen()).some(({ key }) => key === 'k:2'))
    expect((await seen()).map(({ event, key, value }) => [event, key, value])).toEqual([
      ['set', 'k:1', 'a'],
      ['gap', '', undefined],
      ['rescan', 'k:1', 'a'],
      ['set', 'k:2', 'b'],
    ])
  },
)
