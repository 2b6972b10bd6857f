// Scripts: what they give and register, who may run them, and how they fail.
import { createHmac } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { connect, type Mill, type MillOptions } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'

const ignore = (): void => undefined
const quiet = { debug: ignore, info: ignore, warn: ignore, error: ignore }

interface Answer {
  readonly ok?: unknown
  readonly error?: { readonly code: string; readonly message: string; readonly line?: number }
}

describeTopologies('scripts', (topology) => {
  let url: string
  const open: Mill[] = []
  let mill: Mill
  beforeAll(async () => {
    url = await topology.url()
    mill = await connect({ url, executors: 2, logger: quiet })
  })
  afterEach(async () => {
    await Promise.all(open.splice(0).map((mill) => mill.close()))
  })
  afterAll(async () => {
    await mill.close()
    await flush()
  })
  const start = async (options: MillOptions = {}): Promise<Mill> => {
    const mill = await connect({ url, executors: 1, logger: quiet, ...options })
    open.push(mill)
    return mill
  }

  /** As any client does. */
  const call = async (of: Mill, ...args: string[]): Promise<string> => {
    const { namespace } = of.config
    return (await of.redis.sendCommand(['FCALL', 'gm_exec', '1', `${namespace}:{gm0}`, ...args])) as string
  }
  const answer = async (of: Mill, id: string): Promise<Answer> => {
    const key = `${of.config.namespace}:{gm0}:reply:${id}`
    await until(async () => (await of.redis.lLen(key)) > 0)
    return JSON.parse((await of.redis.lPop(key)) as string) as Answer
  }

  it('give the value of their last expression; a pipeline there is run', async () => {
    await mill.redis.set('user:1', 'Ada')
    await mill.redis.set('user:2', 'Alan')
    expect(await mill.exec("keys('user:*').count()")).toEqual([2])
    expect(await mill.exec("keys('user:*', { values: false }).map((k) => mill.redis.get(k)).sort()")).toEqual([
      'Ada',
      'Alan',
    ])
    expect(await mill.exec('const n = 20\nconst f = (x) => x * 2\nawait f(n) + 2 // the answer')).toBe(42)
    expect(await mill.exec("from([1, 2]).write((n) => ['SET', `user:${n}`, String(n)])")).toEqual({ written: 2 })
    expect(await mill.exec('submit((a, b) => a + b, 1, 2)')).toBe(3)
    expect(await mill.exec('import { basename } from "node:path"\nbasename("/a/b")')).toBe('b')
    expect(await mill.exec('const { basename } = await import("node:path")\nbasename("/a/b")')).toBe('b')
    expect(await mill.exec('const load = () => import("zod")\ntypeof (await load()).z')).toBe('object')
    expect(await mill.exec('const keys = 1; keys')).toBe(1)
    expect(await mill.exec('return { a: undefined, b: new Date(0) }')).toEqual({ b: '1970-01-01T00:00:00.000Z' })
    expect(await mill.exec('if (true) {}')).toBeNull()
    expect(await mill.exec('({ a: 1 })')).toEqual({ a: 1 })
    expect(await mill.exec('((1, 2) /* of ; two */) ;; // the second')).toBe(2)
    expect(await mill.exec('const o = { f: (x) => x }\n;(o\n  // ;\n  .f(3))')).toBe(3)
    expect(await mill.exec('#!/usr/bin/env gearmill\n4')).toBe(4)
    const typed =
      'interface Named { name: string }\nfrom<Named>([{ name: "a" }]).map(({ name }: Named): string => name)'
    expect(await mill.exec(typed)).toEqual(['a'])
    expect(await mill.exec("await counter('c').value()")).toBe(0)
  })

  it('run each in a realm of its own, which their triggers inherit', async () => {
    const script = (name: string): string => `
      let count = 0
      await command('${name}-next', () => ++count).register()
      await command('${name}-look', () => count).register()`
    expect(await Promise.all([mill.exec(script('a')), mill.exec(script('b'))])).toEqual([
      { name: 'a-look' },
      { name: 'b-look' },
    ])
    const ask = async (name: string): Promise<unknown> => {
      const id = await mill.redis.sendCommand(['FCALL', 'gm_call', '1', 'gm:{gm0}', name])
      return (await answer(mill, id as string)).ok
    }
    expect([await ask('a-next'), await ask('a-next'), await ask('b-next')]).toEqual([1, 2, 1])
    expect([await ask('a-look'), await ask('b-look')]).toEqual([2, 1])
    // Pipelines of one script share state as well.
    const pipelines = `
      let n = 0
      const one = from([1, 2]).map(() => ++n)
      await one.run()
      one`
    expect(await mill.exec(pipelines)).toEqual([3, 4])
    for (const { name } of await mill.triggers.list()) await mill.triggers.get(name).remove()
  })

  it('say at which line they fail, and how', async () => {
    const failing = (script: string, timeoutMs?: number): Promise<unknown> =>
      mill.exec(script, timeoutMs === undefined ? {} : { timeoutMs })
    await expect(failing('let a = 1\nlet b = = 2')).rejects.toMatchObject({
      code: 'PLAN_SCRIPT',
      message: expect.stringMatching(/^script:2:9: /),
    })
    await expect(failing('const a: number = 1\nlet b: = 2')).rejects.toMatchObject({
      code: 'PLAN_SCRIPT',
      message: expect.stringMatching(/^script:2/),
    })
    await expect(failing('const f = () => {\n  throw new RangeError("no")\n}\nf()')).rejects.toMatchObject({
      code: 'EXECUTION_SCRIPT',
      message: 'script:2: RangeError: no',
      errors: [{ place: 'script:2' }],
    })
    await expect(failing('\nfrom([1]).map((x) => x.y.z)')).rejects.toMatchObject({
      code: 'EXECUTION_FAILED',
      message: expect.stringMatching(/^script:2: 1 record failed/),
    })
    await expect(failing('\n\nkeys(7)')).rejects.toMatchObject({
      code: 'PLAN_OPTION',
      message: expect.stringMatching(/^script:3: keys: /),
    })
    await expect(failing('() => 1')).rejects.toMatchObject({ code: 'PLAN_RECORD' })
    await expect(failing('[from([1]), 2]')).rejects.toMatchObject({
      code: 'PLAN_RECORD',
      message: expect.stringContaining('a pipeline that was not run'),
    })
    await expect(failing('const a = 1\nfor (;;);', 2000)).rejects.toMatchObject({
      code: 'EXECUTION_TIMEOUT',
      message: expect.stringMatching(/^script:2: not done within 2000 ms/),
    })
    await expect(failing('await 1\n\nawait new Promise(() => {})', 2000)).rejects.toMatchObject({
      code: 'EXECUTION_TIMEOUT',
      message: expect.stringMatching(/^script:3: /),
    })
    await expect(failing('1\nprocess.exit(3)')).rejects.toMatchObject({
      code: 'EXECUTION_CRASHED',
      message: expect.stringMatching(/^script:2: /),
    })
    await expect(failing('#!shell\n\nthrow new Error("no")')).rejects.toMatchObject({ message: 'script:3: Error: no' })
    await expect(failing('')).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    await expect(mill.exec('1', { unblocking: 'no' as never })).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    expect(await failing('1 + 1')).toBe(2)
  })

  it('run once, however they end', async () => {
    await expect(mill.exec("await redis.incr('ran')\nprocess.exit(1)")).rejects.toMatchObject({
      code: 'EXECUTION_CRASHED',
    })
    await expect(mill.exec("await redis.incr('ran')\nPromise.reject(new Error('astray'))")).rejects.toThrow('astray')
    expect(await mill.redis.get('ran')).toBe('2')
  })

  it('unblocking: give an execution at once, which can be followed and aborted', async () => {
    const execution = await mill.exec('await from([1, 2]).map((n) => n + 1).run()', { unblocking: true })
    expect(await execution.result()).toEqual([[2, 3]])
    const endless = await mill.exec('from([1]).forEach(() => new Promise(() => {}))', {
      unblocking: true,
      id: 'endless',
    })
    expect(endless.id).toBe('endless')
    const inner = async () => (await mill.executions.list({ state: 'running' })).map(({ id }) => id)
    await until(async () => (await inner()).includes('endless.1'))
    await endless.abort()
    await expect(endless.result()).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
    await until(async () => (await inner()).length === 0)
  })

  it('come from any client, where workers allow it', async () => {
    const allowing = await start({ allowScripts: true, namespace: 'allowing' })
    await until(async () => (await allowing.redis.zCard('allowing:{gm0}:groups:scripts')) > 0)
    expect(await answer(allowing, await call(allowing, 'from([1, 2, 3]).sum()'))).toEqual({ ok: [6] })
    expect(await answer(allowing, await call(allowing, 'let a\nthrow new TypeError("x")'))).toMatchObject({
      error: { code: 'EXECUTION_SCRIPT', message: 'script:2: TypeError: x', line: 2 },
    })
    expect(await answer(allowing, await call(allowing, '1 +'))).toMatchObject({
      error: { code: 'PLAN_SCRIPT', line: 1 },
    })
    expect(await answer(allowing, await call(allowing, '1\nfor (;;);', 'TIMEOUT', '2000'))).toMatchObject({
      error: { code: 'EXECUTION_TIMEOUT', line: 2 },
    })
    const id = await call(allowing, '[1, 2]', 'unblocking', 'ID', 'mine')
    expect(id).toBe('mine')
    await until(async () => (await allowing.executions.list({ state: 'done' })).some((one) => one.id === 'mine'))
    expect(await (await allowing.executions.get('mine')).result()).toEqual([[1, 2]])
    expect(await allowing.redis.exists('allowing:{gm0}:reply:mine')).toBe(0)
    const remote = await start({ workers: 'remote', namespace: 'allowing' })
    expect(await remote.exec('6 * 7', { id: 'seven' })).toBe(42)
    await expect(remote.exec('nothing')).rejects.toMatchObject({
      code: 'EXECUTION_SCRIPT',
      message: expect.stringContaining('nothing'),
    })
    await expect(call(allowing, '1', 'TIMEOUT', 'long')).rejects.toThrow('PLAN_OPTION')
    await expect(call(allowing)).rejects.toThrow('the script is missing')
  })

  it('are refused where nobody allows them, unless they are signed', async () => {
    const secret = 'a secret of two'
    const signing = await start({ secret, namespace: 'signed' })
    expect(await signing.exec('1 + 1')).toBe(2)
    // Only a group that allows them takes scripts of others; this one has no secret and does not.
    const open = await start({ namespace: 'closed' })
    const id = await call(open, '1', 'ID', 'waits')
    expect(await (await open.executions.get(id)).status()).toMatchObject({ state: 'running' })
    await (await open.executions.get(id)).abort()
    expect(await answer(open, id)).toMatchObject({ error: { code: 'EXECUTION_ABORTED' } })
    const mark = createHmac('sha256', secret).update('gearmill script 1\0').update('1 + 2').digest('hex')
    const both = await start({ secret, allowScripts: true, namespace: 'both' })
    await until(async () => (await both.redis.zCard('both:{gm0}:groups:scripts')) > 0)
    expect(await answer(both, await call(both, '1 + 2', 'SIGNATURE', mark))).toEqual({ ok: 3 })
    expect(await answer(both, await call(both, '1 + 3', 'SIGNATURE', mark))).toMatchObject({
      error: { code: 'CAPTURE_SIGNATURE' },
    })
  })
})
