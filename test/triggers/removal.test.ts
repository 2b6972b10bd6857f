// What is left of triggers: nothing, whoever else registers, calls or flushes meanwhile.
import { afterEach, describe, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { describeTopologies, flush, raw, standalone, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})
const start = async (url?: string, options: { readonly workers?: 'local' | 'remote' } = {}): Promise<Mill> => {
  const mill = await connect(url ?? (await standalone()).url, { executors: 1, ...options })
  open.push(mill)
  return mill
}
const register = (mill: Mill, name: string, from?: string) =>
  mill
    .stream('s')
    .write(({ value }) => ['RPUSH', 'seen', value.n ?? ''])
    .register({ name, ...(from === undefined ? {} : { from }) })

describeTopologies('removal', (topology) => {
  it('and registration of one name follow each other', async () => {
    const mill = await start(await topology.url())
    const other = await start(await topology.url(), { workers: 'remote' })
    for (let round = 0; round < 10; round++) {
      const first = await register(mill, 'one')
      const removed = first.remove()
      await until(async () => (await mill.redis.hGet('gm:{gm0}:trigger:one', 'state')) !== 'running')
      const again = register(other, 'one')
      await removed
      await again
      await mill.redis.xAdd('s', '*', { n: String(round) })
      await until(async () => (await mill.triggers.get('one').status()).successes === round + 1)
      await first.remove()
      await expect(first.status()).rejects.toMatchObject({ code: 'TRIGGER_UNKNOWN' })
    }
    expect(await mill.triggers.list()).toEqual([])
  })

  it('leaves no group where no worker ever came, and no stream that was made for it', async () => {
    const mill = await start(await topology.url(), { workers: 'remote' })
    await mill.redis.xAdd('old:1', '*', { n: '1' })
    await mill
      .stream('old:*')
      .forEach(() => undefined)
      .register({ name: 'pattern', from: 'new' })
    await register(mill, 'one', 'new')
    expect(await mill.redis.exists('s')).toBe(1)
    await expect(mill.command('one', () => 1).register()).rejects.toMatchObject({ code: 'TRIGGER_KIND' })
    for (const name of ['pattern', 'one']) await mill.triggers.get(name).remove()
    expect(await mill.redis.sendCommand(['XINFO', 'GROUPS', 'old:1'])).toEqual([])
    expect(await mill.redis.exists('s')).toBe(0)
  })
})

it('a refused registration makes no stream', async () => {
  const mill = await start(undefined, { workers: 'remote' })
  await mill.command('taken', () => 1).register()
  await expect(register(mill, 'taken', 'new')).rejects.toMatchObject({ code: 'TRIGGER_KIND' })
  expect(await mill.redis.exists('s')).toBe(0)
})

it('pause() ends where somebody resumes meanwhile', async () => {
  const mill = await start()
  const trigger = await register(mill, 'one')
  await mill.redis.xAdd('s', '*', { n: '0' })
  await until(async () => (await trigger.status()).successes === 1)
  for (let round = 0; round < 10; round++) await Promise.all([trigger.pause(), trigger.resume()])
  await trigger.resume()
  expect(await trigger.status()).toMatchObject({ state: 'running' })
})

it('FLUSHALL is the end of triggers: nothing of them is made again', async () => {
  const server = await standalone()
  const mill = await start()
  const one = await register(mill, 'one')
  const all = await mill
    .stream('all:*')
    .forEach(() => undefined)
    .register({ name: 'all' })
  for (const stream of ['s', 'all:1']) await mill.redis.xAdd(stream, '*', { n: '0' })
  await until(async () => (await one.status()).successes + (await all.status()).successes === 2)
  const reads = /name=gearmill-trigger\S* .*cmd=xreadgroup/
  expect(String(await raw(server, 'CLIENT', 'LIST'))).toMatch(reads)
  await raw(server, 'FLUSHALL')
  await mill.redis.xAdd('all:1', '*', { n: '1' })
  // Until they are not read any more.
  await until(async () => !reads.test(String(await raw(server, 'CLIENT', 'LIST'))))
  const left = (await raw(server, 'KEYS', '*')) as string[]
  expect(left.filter((key) => key.includes('trigger') || key === 's')).toEqual([])
  expect(await mill.redis.sendCommand(['XINFO', 'GROUPS', 'all:1'])).toEqual([])
})

describe('calls', () => {
  it('that wait when their command is removed are told so', async () => {
    const mill = await start()
    const command = await mill.command('slow', () => 1).register()
    await command.pause()
    const calls = Array.from({ length: 150 }, () => command.call().catch((error: unknown) => error))
    await until(async () => (await mill.redis.xLen('gm:{gm0}:trigger:slow:in')) === calls.length)
    await command.remove()
    for (const error of await Promise.all(calls)) {
      expect(error).toMatchObject({ code: 'TRIGGER_CALL', message: expect.stringContaining('was removed') as string })
    }
  })

  it('get their answer where their connection is cut', async () => {
    const mill = await start()
    const command = await mill
      .command('waits', async () => {
        await mill.redis.set('began', '1')
        while ((await mill.redis.exists('go')) === 0) await new Promise((resolve) => setTimeout(resolve, 5))
        return 'done'
      })
      .register()
    const answer = command.call()
    await until(async () => (await mill.redis.exists('began')) === 1)
    const blocked = async (): Promise<string[]> => {
      const list = String(await raw(await standalone(), 'CLIENT', 'LIST')).split('\n')
      return list.filter((line) => line.includes('cmd=blpop')).map((line) => /id=(\d+)/.exec(line)?.[1] ?? '')
    }
    await until(async () => (await blocked()).length > 0)
    for (const id of await blocked()) await raw(await standalone(), 'CLIENT', 'KILL', 'ID', id)
    await mill.redis.set('go', '1')
    expect(await answer).toBe('done')
  })

  it('are of texts, and get JSON whatever comes back', async () => {
    const mill = await start()
    const command = await mill
      .command('any', (kind: string) => (kind === 'function' ? () => 1 : kind === 'symbol' ? Symbol('s') : undefined))
      .register()
    for (const kind of ['function', 'symbol', 'undefined']) expect(await command.call(kind)).toBeNull()
    for (const wrong of [null, undefined, {}, [], true, 5n, Symbol('s')]) {
      await expect(command.call(wrong as string)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    }
    for (const limit of [NaN, -1, '5', undefined]) {
      await expect(command.callWithin(limit as number, 'x')).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    }
  })
})
