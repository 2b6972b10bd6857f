// Values of keys: in bounded replies, whatever their size; what is no text; what is of no type that keys() knows.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connectDeployment } from '../../../../src/redis/connect.ts'
import type { Deployment } from '../../../../src/redis/deployment.ts'
import { describeTopologies, flush } from '../../../fixtures/servers.ts'
import { startServer } from '../../../../src/server/standalone.ts'
import { flood, readPart, splitsOf } from './part.ts'

interface KeyAndValue {
  readonly key: string
  readonly type: string
  readonly value: unknown
}

async function readAll(
  deployment: Deployment,
  options: Parameters<typeof readPart>[3] = {},
  change: (plan: { shards: { large: boolean }[] }) => unknown = (plan) => plan,
): Promise<{ records: Map<string, unknown>; failures: unknown[] }> {
  const { count, data } = await splitsOf(deployment, { values: true, ...options })
  const plan = change(data as { shards: { large: boolean }[] })
  const records = new Map<string, unknown>()
  const failures: unknown[] = []
  for (let index = 0; index < count; index++) {
    const part = await readPart(deployment, plan, index, { values: true, ...options })
    for (const { key, value } of part.records as KeyAndValue[]) {
      expect(records.has(key)).toBe(false)
      records.set(key, value)
    }
    failures.push(...part.failures)
  }
  return { records, failures }
}

/** A deployment that does some things otherwise. */
function but(real: Deployment, changes: Partial<Deployment>): Deployment {
  return {
    url: real.url,
    topology: real.topology,
    refresh: () => real.refresh(),
    slotOf: (key) => real.slotOf(key),
    onShard: (...args) => real.onShard(...args),
    columns: (...args) => real.columns(...args),
    call: (...args) => real.call(...args),
    blocking: (key) => real.blocking(key),
    close: () => real.close(),
    command: (...args) => real.command(...args),
    ...changes,
  }
}

const asLarge = (plan: { shards: { large: boolean }[] }): unknown => ({
  ...plan,
  shards: plan.shards.map((shard) => ({ ...shard, large: true })),
})

describeTopologies('values of keys', (topology) => {
  let deployment: Deployment
  const expected = new Map<string, unknown>()
  const put = async (key: string, value: unknown, ...command: [string, string, ...(string | number)[]]) => {
    await deployment.command(key, command)
    expected.set(key, value)
  }
  beforeAll(async () => {
    deployment = await connectDeployment(await topology.url())
    const numbers = Array.from({ length: 3000 }, (_, i) => String(i))
    for (const size of [0, 1, 16 * 1024 - 1, 16 * 1024, 16 * 1024 + 1, 1024 * 1024 + 16 * 1024, 3_000_000]) {
      const text = 'äb'.repeat(Math.ceil(size / 3)).slice(0, size)
      await put(`string ${size}`, text, 'SET', `string ${size}`, text)
    }
    await put('replaced', '\uFFFD!', 'SET', 'replaced', '\uFFFD!')
    await put('\uFFFD', 'x', 'SET', '\uFFFD', 'x')
    await put('list', numbers, 'RPUSH', 'list', ...numbers)
    await put('small list', ['a', 'b', 'a'], 'RPUSH', 'small list', 'a', 'b', 'a')
    const heavy = Array.from({ length: 20 }, (_, i) => String(i).repeat(100_000))
    await put('heavy list', heavy, 'RPUSH', 'heavy list', ...heavy)
    const fields = Object.fromEntries(numbers.map((n) => [`f${n}`, n]))
    await put('hash', fields, 'HSET', 'hash', ...Object.entries(fields).flat())
    await put('own', { __proto__x: '1' }, 'HSET', 'own', '__proto__x', '1')
    const ties = numbers.map((n, i) => ({ member: `m${n.padStart(4, '0')}`, score: i % 7 }))
    ties.sort((a, b) => a.score - b.score || (a.member < b.member ? -1 : 1))
    await put('zset', ties, 'ZADD', 'zset', ...ties.flatMap(({ member, score }) => [score, member]))
    await put('set', ['one'], 'SADD', 'set', 'one')
    await put('stream', [{ id: '1-1', value: { f: 'v' } }], 'XADD', 'stream', '1-1', 'f', 'v')
    await deployment.command('empty', ['XADD', 'empty', '1-1', 'f', 'v'])
    await put('empty', [], 'XTRIM', 'empty', 'MAXLEN', 0)
  })
  afterAll(async () => {
    await deployment?.close()
    await flush()
  })

  it('are whole, of any size and type', async () => {
    for (const change of [undefined, asLarge]) {
      const { records, failures } = await readAll(deployment, {}, change)
      expect(failures).toEqual([])
      expect([...records.keys()].sort()).toEqual([...expected.keys()].sort())
      for (const [key, value] of expected) expect([key, records.get(key)]).toEqual([key, value])
    }
  })

  it('are those of one type', async () => {
    for (const change of [undefined, asLarge]) {
      const { records } = await readAll(deployment, { type: 'string' }, change)
      expect([...records.keys()].sort()).toEqual(
        [...expected.keys()].filter((key) => typeof expected.get(key) === 'string').sort(),
      )
    }
    const { records } = await readAll(deployment, { type: 'zset' })
    expect([...records.keys()]).toEqual(['zset'])
  })

  it('are asked for by type where few are of it', async () => {
    const asked = new Set<string>()
    const watched = but(deployment, {
      columns: (where, args, behind) => {
        asked.add(args[0] === 'SCAN' ? `SCAN${args.includes('TYPE') ? ' TYPE' : ''}` : String(args[0]))
        return deployment.columns(where, args, behind)
      },
    })
    const others = Array.from({ length: 6000 }, (_, i) => `other:${i}`)
    await Promise.all(others.map((key) => deployment.command(key, ['SADD', key, 'x'])))
    try {
      const { records } = await readAll(watched, { type: 'string' })
      expect([...records.keys()].sort()).toEqual(
        [...expected.keys()].filter((key) => typeof expected.get(key) === 'string').sort(),
      )
      expect(asked).toEqual(new Set(['SCAN', 'MGET', 'SCAN TYPE']))
    } finally {
      await Promise.all(others.map((key) => deployment.command(key, ['DEL', key])))
    }
  })

  it('fail where they are no text, and are bytes where those are asked for', async () => {
    const odd = Buffer.from([0x61, 0xff])
    await deployment.command(odd, ['SET', odd, 'text'])
    await deployment.command('odd value', ['SET', 'odd value', odd])
    try {
      for (const change of [undefined, asLarge]) {
        const { records, failures } = await readAll(deployment, { pattern: '*' }, change)
        expect(failures).toMatchObject([{ code: 'PLAN_ENCODING' }, { code: 'PLAN_ENCODING' }])
        expect(records.size).toBe(expected.size)
        const { count, data } = await splitsOf(deployment, { values: true })
        const bytes = new Map<string, unknown>()
        for (let index = 0; index < count; index++) {
          const options = { values: true, binary: true, pattern: '*[ao]*', type: 'string' } as const
          const part = await readPart(deployment, change?.(data as never) ?? data, index, options)
          expect(part.failures).toEqual([])
          for (const { key, value } of part.records as { key: Uint8Array; value: unknown }[]) {
            bytes.set(Buffer.from(key).toString('latin1'), value)
          }
        }
        expect(bytes.get('odd value')).toEqual(new Uint8Array(odd))
        expect(bytes.get(odd.toString('latin1'))).toEqual(new Uint8Array(Buffer.from('text')))
      }
    } finally {
      await deployment.command(odd, ['DEL', odd])
      await deployment.command('odd value', ['DEL', 'odd value'])
    }
  })
})

describe('types of modules', () => {
  it('are left out, and counted', async () => {
    await using server = await startServer()
    const real = await connectDeployment(server.url)
    // A server without modules, but for what it says of two keys.
    const deployment = but(real, {
      command: async (key, args, options) =>
        args[0] === 'TYPE' && String(key).startsWith('json') ? 'ReJSON-RL' : real.command(key, args, options),
    })
    try {
      for (const key of ['json:1', 'json:2', 'list']) await real.command(key, ['RPUSH', key, 'x'])
      await real.command('text', ['SET', 'text', 'x'])
      const { data } = await splitsOf(deployment, { values: true })
      const { records, skipped } = await readPart(deployment, data, 0, { values: true })
      expect(records.map((record) => (record as KeyAndValue).key).sort()).toEqual(['list', 'text'])
      expect(skipped).toBe(2)
    } finally {
      await real.close()
    }
  })
})

describe('a server with much in it', () => {
  it('may hold large strings where its memory leaves room for them', async () => {
    await using server = await startServer()
    const deployment = await connectDeployment(server.url)
    const large = async (): Promise<unknown> => {
      const { data } = await splitsOf(deployment, { values: true })
      return (data as { shards: { large: boolean }[] }).shards[0]?.large
    }
    try {
      const text = 'x'.repeat(2000)
      await flood(server, 60_000, (i) => ['SET', `key:${i}`, text])
      expect(await large()).toBe(false)
      await deployment.command('', ['SETRANGE', 'large', 200_000_000, 'x'])
      expect(await large()).toBe(true)
    } finally {
      await deployment.close()
    }
  })
})
