// Commands and schedules on real servers.
import { afterEach, expect, expectTypeOf, it } from 'vitest'
import { connect, type Command, type Mill } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})

describeTopologies('commands and schedules', (topology) => {
  const start = async (options: { readonly workers?: 'local' | 'remote' } = {}): Promise<Mill> => {
    const mill = await connect(await topology.url(), { executors: 1, ...options })
    open.push(mill)
    return mill
  }

  it('answers typed calls and those of any client', async () => {
    const mill = await start()
    const add = await mill.command('add', (a: string, b: string) => ({ sum: Number(a) + Number(b) })).register()
    expectTypeOf(add).toEqualTypeOf<Command<[a: string, b: string], { sum: number }>>()
    expect(await add.call('1', '2')).toEqual({ sum: 3 })
    const id = (await mill.redis.sendCommand(['FCALL', 'gm_call', '1', 'gm:{gm0}', 'add', '20', '22'])) as string
    const reply = await mill.redis.sendCommand(['BLPOP', `gm:{gm0}:reply:${id}`, '10'])
    expect(reply).toEqual([`gm:{gm0}:reply:${id}`, '{"ok":{"sum":42}}'])
    const many = await Promise.all(Array.from({ length: 100 }, (_, i) => add.call(String(i), '1')))
    expect(many).toEqual(Array.from({ length: 100 }, (_, i) => ({ sum: i + 1 })))
    await until(async () => (await add.status()).successes === 102)
    expect(await add.status()).toMatchObject({ kind: 'command', failures: 0 })
  })

  it('tells who calls what went wrong', async () => {
    const mill = await start()
    const fails = await mill
      .command('fails', (how: string): string => {
        if (how === 'throw') throw new RangeError('too far')
        if (how === 'hang') for (;;);
        return how
      })
      .register({ timeoutMs: 2000 })
    await expect(fails.call('throw')).rejects.toMatchObject({ code: 'TRIGGER_CALL' })
    await expect(fails.call('throw')).rejects.toThrow('too far')
    await expect(fails.call('hang')).rejects.toThrow('not done within 2000 ms')
    expect(await fails.call('fine')).toBe('fine')
    expect(await fails.deadLetters()).toEqual([])
    const unknown = mill.redis.fCall('gm_call', { keys: ['gm:{gm0}'], arguments: ['nothing'] })
    await expect(unknown).rejects.toThrow('TRIGGER_UNKNOWN')
    await fails.remove()
    await expect(fails.call('fine')).rejects.toMatchObject({ code: 'TRIGGER_UNKNOWN' })
  })

  it('calls that come before a worker wait for it, and give up in time', async () => {
    const client = await start({ workers: 'remote' })
    const echo = await client.command('echo', (text: string) => text).register()
    await expect(echo.callWithin(50, 'nobody')).rejects.toMatchObject({ code: 'TRIGGER_CALL' })
    const answer = echo.call('later')
    await start()
    expect(await answer).toBe('later')
  })

  it('ticks once, whatever the number of workers', async () => {
    const mills = [await start(), await start(), await start()]
    const [mill] = mills as [Mill]
    const trigger = await mill
      .schedule({ every: 50 })
      .write((tick) => ['RPUSH', 'ticks', tick.at])
      .register({ name: 'tick' })
    await until(async () => (await mill.redis.lLen('ticks')) >= 10)
    await trigger.pause()
    const ticks = (await mill.redis.lRange('ticks', 0, -1)).map(Number)
    expect(new Set(ticks).size).toBe(ticks.length)
    expect(ticks.every((at, i) => i === 0 || (at - (ticks[i - 1] as number)) % 50 === 0)).toBe(true)
    await trigger.remove()
  })

  it('refuses schedules that cannot be', async () => {
    const mill = await start({ workers: 'remote' })
    expect(() => mill.schedule({ cron: '61 * * * *' })).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    expect(() => mill.schedule({ every: 'soon' })).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    expect(() => mill.schedule({})).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    await expect(mill.schedule({ every: '1s' }).run()).rejects.toMatchObject({ code: 'PLAN_OPTION' })
  })
})
