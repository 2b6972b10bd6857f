// Chains on real servers: what follows what, inputs, fan-outs, pauses, errors.
import { afterEach, expect, expectTypeOf, it } from 'vitest'
import { connect, type Chain, type KernelError, type Mill } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'
import { store } from './store.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})

describeTopologies('chains', (topology) => {
  const start = async (options: { readonly workers?: 'local' | 'remote' } = {}): Promise<Mill> => {
    const mill = await connect(await topology.url(), { executors: 1, ...options })
    open.push(mill)
    return mill
  }

  it('runs the kernels of any client, one after the other', async () => {
    const mill = await start()
    await mill.redis.set('func0', "function func0(x) { return 'func1(\"' + x + ' 0\")' }")
    await mill.redis.set('func1', "function func1(x) { return next('func2', x + ' 1', 7).set('seen', x) }")
    await store(mill, 'func2', 'function func2(x: string, n: number): unknown { return done({ x, n }) }')
    const id = (await mill.redis.sendCommand(['FCALL', 'gm_start', '1', 'gm:{gm0}', 'func0', 'start'])) as string
    const reply = `gm:{gm0}:reply:${id}`
    expect(await mill.redis.sendCommand(['BLPOP', reply, '30'])).toEqual([reply, '{"ok":{"x":"start 0 1","n":7}}'])
    expect(await mill.redis.get('seen')).toBe('start 0')
    const chain = mill.kernels.chain(id)
    expect(await chain.done()).toEqual({ x: 'start 0 1', n: 7 })
    const trace = await chain.trace()
    expect(trace).toMatchObject([
      { step: 1, attempt: 1, branch: '0', kernel: 'func0', inputs: ['start'], writes: [], next: 'func1' },
      { step: 2, kernel: 'func1', inputs: ['start 0'], writes: [['SET', 'seen', 'start 0']], next: 'func2' },
      { step: 3, kernel: 'func2', inputs: ['start 0 1', 7], next: 'done', error: undefined },
    ])
    expect(trace.every(({ started, ended, executor }) => started <= ended && executor !== '')).toBe(true)
    expect(await chain.status()).toMatchObject({ id, state: 'done', steps: 3, next: [] })
  })

  it('starts with values of any type, and once for each id', async () => {
    const mill = await start()
    await store(mill, 'echo', "function echo(...all) { return done(all).do('INCR', 'runs') }")
    const args = ['text', 1.5, true, null, [1, ['two']], { a: { b: 'c' } }]
    const chain = await mill.kernels.start<unknown[]>('echo', ...args, undefined)
    expectTypeOf(chain).toEqualTypeOf<Chain<unknown[]>>()
    expect(await chain.done()).toEqual([...args, null])
    const bytes = await mill.kernels.start('echo', Uint8Array.of(0, 255, 10))
    expect(await bytes.done()).toEqual([Buffer.from([0, 255, 10])])
    const again = { name: 'echo', args: ['once'], id: 'my-chain' }
    const [one, two] = await Promise.all([mill.kernels.start(again), mill.kernels.start(again)])
    expect([one.id, two.id]).toEqual(['my-chain', 'my-chain'])
    expect(await one.done()).toEqual(['once'])
    expect(await two.done()).toEqual(['once'])
    const named = ['FCALL', 'gm_start', '2', 'gm:{gm0}', 'gm:{gm0}:chain:other', 'echo', 'x']
    expect(await mill.redis.sendCommand(named)).toBe('other')
    expect(await mill.redis.sendCommand(named)).toBe('other')
    expect(await mill.kernels.chain('other').done()).toEqual(['x'])
    expect(await mill.redis.get('runs')).toBe('4')
    await expect(mill.kernels.start('echo', () => 1)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(mill.kernels.start({ name: 'echo', id: 'a b' })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(mill.kernels.chain('never').done()).rejects.toMatchObject({ code: 'KERNEL_CHAIN' })
    await expect(mill.kernels.chain('never').resume()).rejects.toMatchObject({ code: 'KERNEL_CHAIN' })
    await expect(one.resume()).rejects.toMatchObject({ code: 'KERNEL_CHAIN' })
  })

  it('reads inputs from keys just before the step', async () => {
    const mill = await start()
    await store(mill, 'first', "function first() { return next('second', '@made', '@@name').set('made', '41') }")
    await store(
      mill,
      'second',
      'export const params = ["number", "string"]\nexport default function second(n, name) { return done([n + 1, name]) }',
    )
    expect(await (await mill.kernels.start('first')).done()).toEqual([42, '@name'])
    await mill.redis.hSet('a hash', { x: '1' })
    await mill.redis.rPush('a list', ['a', 'b'])
    await store(mill, 'echo', 'function echo(...all) { return done(all) }')
    expect(await (await mill.kernels.start('echo', '@a hash', '@a list')).done()).toEqual([{ x: '1' }, ['a', 'b']])
    const missing = await mill.kernels.start('echo', 'there', '@not there')
    await expect(missing.done()).rejects.toMatchObject({ code: 'KERNEL_INPUT', kernel: 'echo', step: 1 })
    await expect(missing.done()).rejects.toThrow('@not there')
    await mill.redis.set('not there', 'now it is')
    expect(await missing.resume()).toBe(1)
    expect(await missing.done()).toEqual(['there', 'now it is'])
    await expect((await mill.kernels.start('echo', '@gm:{gm0}:kernels')).done()).rejects.toMatchObject({
      code: 'KERNEL_INPUT',
    })
  })

  it('fans out and joins, also within branches and in loops', async () => {
    const mill = await start()
    await store(
      mill,
      'fan',
      "function fan(n, sums = []) { return next.all(Array.from({ length: n }, (_, i) => next('leaf', i, n))).join('sum', n, sums) }",
    )
    await store(mill, 'leaf', "function leaf(i, n) { return i === 0 ? next('leaf', n) : done(i).do('INCR', 'leaves') }")
    await store(
      mill,
      'sum',
      "function sum(all, n, sums) { const next_ = [...sums, all.reduce((a, b) => a + b, 0)]; return n > 4 ? done(next_) : next('fan', n + 1, next_) }",
    )
    const chain = await mill.kernels.start('fan', 3)
    expect(await chain.done()).toEqual([6, 10, 15])
    expect(await mill.redis.get('leaves')).toBe('12')
    expect((await chain.status()).steps).toBe(3 + 3 + 12 + 3)
    await store(
      mill,
      'nested',
      "function nested(d) { return d === 0 ? done(1) : next.all([next('nested', d - 1), next('nested', d - 1)]) }",
    )
    expect(await (await mill.kernels.start('nested', 2)).done()).toEqual([
      [1, 1],
      [1, 1],
    ])
  })

  it('fails a branch whose value is too much for the join, and goes on when it is less', async () => {
    const mill = await start()
    await store(mill, 'all', "function all() { return next.all([6, 6, 6].map((n) => next('one', n))).join('sum') }")
    await store(mill, 'one', "function one(n) { return done('x'.repeat(n << 20)).do('INCR', 'ones') }", {
      trusted: true,
    })
    await store(mill, 'sum', 'function sum(list) { return done(list.map((each) => each.length)) }', { trusted: true })
    const chain = await mill.kernels.start('all')
    await expect(chain.done()).rejects.toMatchObject({ code: 'KERNEL_SIZE', kernel: 'one', step: 2 })
    await until(async () => (await mill.redis.get('ones')) === '2' && (await chain.status()).next.length === 0)
    await store(mill, 'one', "function one(n) { return done('x'.repeat(n)).do('INCR', 'ones') }")
    expect(await chain.resume()).toBe(1)
    const lengths = (await chain.done()) as number[]
    expect(lengths.toSorted((a, b) => a - b)).toEqual([6, 6 << 20, 6 << 20])
    expect(await mill.redis.get('ones')).toBe('3')
  })

  it('pauses, and waits for keys and events', async () => {
    const mill = await start()
    await store(mill, 'pause', "function pause() { return next('wait').set('at', String(Date.now())).after('200ms') }")
    await store(
      mill,
      'wait',
      "function wait() { return next('then').set('slept', String(Date.now())).when({ key: 'go' }) }",
    )
    await store(mill, 'then', "function then() { return next('end', '@go').when({ event: 'paid' }) }")
    await store(mill, 'end', 'function end(go) { return done(go) }')
    const chain = await mill.kernels.start('pause')
    await until(async () => (await chain.status()).next[0] === 'then')
    expect(await chain.status()).toMatchObject({ state: 'waiting', steps: 2 })
    expect(Number(await mill.redis.get('slept')) - Number(await mill.redis.get('at'))).toBeGreaterThanOrEqual(200)
    await mill.redis.set('go', 'gone')
    await until(async () => (await chain.status()).next[0] === 'end')
    await mill.kernels.signal('paid')
    expect(await chain.done()).toBe('gone')
  })

  it('runs the new version from the next step on, and says which ran', async () => {
    const mill = await start()
    const first = await store(
      mill,
      'loop',
      "function loop(n) { return next('loop', n + 1).when({ key: `go${n}` }).do('INCR', 'steps') }",
    )
    const chain = await mill.kernels.start('loop', 0)
    await until(async () => (await mill.redis.get('steps')) === '1')
    const second = await store(mill, 'loop', 'function loop(n) { return done(`patched at ${n}`) }')
    await mill.redis.set('go0', '1')
    expect(await chain.done()).toBe('patched at 1')
    expect((await chain.trace()).map(({ version }) => version)).toEqual([first, second])
    const { versions, source } = await mill.kernels.get('loop')
    expect(versions.map(({ version }) => version)).toEqual([first, second])
    expect(source).toContain('patched')
  })

  it('tells the caller what failed where, and resumes from there', async () => {
    const mill = await start()
    await store(mill, 'one', "function one() { return next('two', 'x').do('INCR', 'ones') }")
    await store(mill, 'two', "function two(x) {\n  const n = 1\n  throw new RangeError('too far')\n}")
    const chain = await mill.kernels.start('one')
    const error = (await chain.done().catch((thrown: unknown) => thrown)) as KernelError
    expect(error).toMatchObject({ name: 'KernelError', code: 'KERNEL_THREW', kernel: 'two', step: 2, line: 3 })
    expect(error).toMatchObject({ chain: chain.id, cause: { name: 'RangeError', message: 'too far' } })
    expect(error.version).toBe((await mill.kernels.get('two')).version)
    expect(await chain.status()).toMatchObject({ state: 'failed', error: { code: 'KERNEL_THREW' } })
    const lane = /-gm\d+$/.exec(chain.id)?.[0].slice(1) ?? 'gm0'
    const reply = await mill.redis.sendCommand(['LPOP', `gm:{${lane}}:reply:${chain.id}`])
    expect(JSON.parse(reply as string)).toMatchObject({
      error: { code: 'KERNEL_THREW', kernel: 'two', step: 2, line: 3 },
    })
    await store(mill, 'two', 'function two(x) { return done(x) }')
    expect(await chain.resume()).toBe(1)
    expect(await chain.done()).toBe('x')
    expect(await mill.redis.get('ones')).toBe('1')
    expect((await chain.trace()).map(({ step, kernel, error: failed }) => [step, kernel, failed?.code])).toEqual([
      [1, 'one', undefined],
      [2, 'two', 'KERNEL_THREW'],
      [2, 'two', undefined],
    ])
    const unknown = await mill.kernels.start('nothing')
    await expect(unknown.done()).rejects.toMatchObject({ code: 'KERNEL_UNKNOWN', kernel: 'nothing' })
    expect((await mill.kernels.list()).map(({ name }) => name)).toEqual(['one', 'two'])
    expect((await mill.kernels.get('two')).statistics).toMatchObject({ steps: 2, failures: 1 })
  })

  it('says in which source it failed, and what was logged until then', async () => {
    const mill = await start()
    await store(mill, 'lib', '\nexport function check(x) { throw new Error(`no ${x}`) }')
    await store(
      mill,
      'uses',
      "import { check } from 'lib'\nfunction uses(x) { console.warn('on'); return done(check(x)) }",
    )
    const failed = await mill.kernels.start('uses', 'good')
    const where = { code: 'KERNEL_THREW', kernel: 'uses', module: 'lib', line: 2, log: [{ level: 'warn', text: 'on' }] }
    await expect(failed.done()).rejects.toMatchObject(where)
    expect((await failed.status()).error).toMatchObject(where)
    expect(await failed.trace()).toMatchObject([{ log: where.log, error: where }])
  })

  it('tries a step again as often as its kernel says', async () => {
    const mill = await start()
    await store(
      mill,
      'flaky',
      "function flaky(x, ctx) { if (ctx.attempt < 3) throw new Error('not yet'); return done(ctx.attempt) }",
      { retries: 2 },
    )
    const chain = await mill.kernels.start('flaky', 'x')
    expect(await chain.done()).toBe(3)
    expect((await chain.trace()).map(({ attempt, error }) => [attempt, error?.code])).toEqual([
      [1, 'KERNEL_THREW'],
      [2, 'KERNEL_THREW'],
      [3, undefined],
    ])
    await store(mill, 'flaky', "function flaky() { throw new Error('never') }", { retries: 1 })
    const hopeless = await mill.kernels.start('flaky')
    await expect(hopeless.done()).rejects.toMatchObject({ code: 'KERNEL_THREW' })
    expect(await hopeless.trace()).toHaveLength(2)
  })

  it('applies the writes of a step together, once, also those of other slots', async () => {
    const mill = await start()
    await store(
      mill,
      'many',
      "function many(n) { let all = done(n); for (let i = 0; i < n; i++) all = all.do('INCR', `count:${i % 50}`); return all }",
    )
    const chains = await Promise.all([3, 50, 1000].map((n) => mill.kernels.start('many', n)))
    expect(await Promise.all(chains.map((chain) => chain.done()))).toEqual([3, 50, 1000])
    const counts = await Promise.all(Array.from({ length: 50 }, (_, i) => mill.redis.get(`count:${i}`)))
    expect(counts).toEqual(Array.from({ length: 50 }, (_, i) => String(i < 3 ? 22 : 21)))
  })

  it('stops at a write that is refused, and goes on with it when resumed', async () => {
    const mill = await start()
    await mill.redis.rPush('{w}list', ['x'])
    await store(
      mill,
      'bad',
      "function bad() { return done('ok').do('INCR', '{w}before').do('INCR', '{w}list').do('INCR', '{w}after') }",
    )
    const chain = await mill.kernels.start('bad')
    await expect(chain.done()).rejects.toMatchObject({ code: 'KERNEL_WRITE', kernel: 'bad', step: 1 })
    expect([await mill.redis.get('{w}before'), await mill.redis.get('{w}after')]).toEqual(['1', null])
    expect(await chain.resume()).toBe(1)
    await expect(chain.done()).rejects.toMatchObject({ code: 'KERNEL_WRITE' })
    await mill.redis.del('{w}list')
    await chain.resume()
    expect(await chain.done()).toBe('ok')
    expect(await mill.redis.mGet(['{w}before', '{w}list', '{w}after'])).toEqual(['1', '1', '1'])
    for (const command of [['GET', 'x'], ['FLUSHALL'], ['SET', 'gm:kernel:bad', 'x'], ['NONSENSE', 'x']]) {
      await store(mill, 'bad', `function bad() { return done().do(${command.map((part) => `'${part}'`).join()}) }`)
      await expect((await mill.kernels.start('bad')).done()).rejects.toSatisfy((error: KernelError) =>
        ['KERNEL_WRITE', 'EXECUTION_EFFECT_REFUSED'].includes(error.code),
      )
    }
  })

  it('ends a chain that would go on for ever, and lets it go on', async () => {
    const mill = await start()
    await store(mill, 'round', "function round(n) { return next('round', n + 1).do('INCR', 'rounds') }")
    await store(mill, 'later', "function later(n) { return next('later', n + 1).after('1h') }")
    const chains = await Promise.all(['round', 'later'].map((name) => mill.kernels.start(name, 0)))
    await until(async () => Number(await mill.redis.get('rounds')) > 10)
    for (const chain of chains) {
      expect(await chain.abort()).toBe(true)
      expect(await chain.abort()).toBe(false)
      await expect(chain.done()).rejects.toMatchObject({ code: 'KERNEL_ABORTED' })
    }
    await store(mill, 'round', 'function round(n) { return done(n) }')
    const at = Number(await mill.redis.get('rounds'))
    const [chain] = chains as [Chain]
    expect(await chain.resume()).toBe(1)
    const ended = await chain.done()
    // The writes of one step, committed before the end, may be applied after it where they are of another slot.
    expect([at, at + 1]).toContain(ended)
    expect(await mill.redis.get('rounds')).toBe(String(ended))
    await expect(mill.kernels.chain('never').abort()).rejects.toMatchObject({ code: 'KERNEL_CHAIN' })
  })

  it('lets what waited when it was aborted wait on', async () => {
    const mill = await start()
    await store(mill, 'ask', "function ask() { return next('end', 'approved').when({ key: 'approval' }) }")
    await store(mill, 'later', "function later() { return next('end', 'late').after('1h') }")
    await store(mill, 'both', "function both() { return next('end', 'both').after(1).when({ key: 'approval' }) }")
    await store(mill, 'end', 'function end(x) { return done(x) }')
    const chains = await Promise.all(['ask', 'later', 'both'].map((name) => mill.kernels.start(name)))
    const [ask, later, both] = chains as [Chain, Chain, Chain]
    for (const chain of chains) {
      await until(async () => (await chain.status()).state === 'waiting')
      expect(await chain.abort()).toBe(true)
      expect(await chain.resume()).toBe(1)
      expect(await chain.status()).toMatchObject({ state: 'waiting', next: ['end'], steps: 1 })
    }
    await mill.redis.set('approval', 'yes')
    expect([await ask.done(), await both.done()]).toEqual(['approved', 'both'])
    expect(await later.status()).toMatchObject({ state: 'waiting', steps: 1 })
    expect(await later.abort()).toBe(true)
  })

  it('applies each write once where chains are aborted in the middle of steps and go on', async () => {
    const mill = await start()
    await store(mill, 'count', "function count(n, key) { return next('count', n + 1, key).do('INCR', key) }")
    const keys = Array.from({ length: 40 }, (_, i) => `counted:${i}`)
    const chains = await Promise.all(keys.map((key) => mill.kernels.start('count', 0, key)))
    for (let rounds = 0; rounds < 3; rounds++) {
      for (const [i, chain] of chains.entries()) {
        const before = Number(await mill.redis.get(keys[i] as string))
        await until(async () => Number(await mill.redis.get(keys[i] as string)) > before)
        expect(await chain.abort()).toBe(true)
        expect(await chain.resume()).toBe(1)
      }
    }
    await store(mill, 'count', 'function count(n) { return done(n) }')
    const ended = await Promise.all(chains.map((chain) => chain.done()))
    expect(await Promise.all(keys.map(async (key) => Number(await mill.redis.get(key))))).toEqual(ended)
  })

  it('lets many chains have their turn, however long others run', { timeout: 120_000 }, async () => {
    const mill = await start()
    await store(mill, 'round', "async function round(n) { return next('round', n + 1) }", { trusted: true })
    const rounds = await Promise.all(Array.from({ length: 130 }, () => mill.kernels.start('round', 0)))
    await store(mill, 'short', 'function short() { return done(1) }')
    expect(await (await mill.kernels.start('short')).done()).toBe(1)
    await Promise.all(rounds.map((chain) => chain.abort()))
  })

  it('runs chains that began before any worker', async () => {
    const client = await start({ workers: 'remote' })
    await store(client, 'late', 'function late(x) { return done(x) }')
    const chains = await Promise.all(Array.from({ length: 20 }, (_, i) => client.kernels.start('late', i)))
    await start()
    expect(await Promise.all(chains.map((chain) => chain.done()))).toEqual(Array.from({ length: 20 }, (_, i) => i))
  })
})
