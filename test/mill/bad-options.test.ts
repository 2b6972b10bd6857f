// Options of the wrong type, signals that abort, and mills that are closed already.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, local, onWorker, type Mill } from '../../src/index.ts'
import type { Pipeline } from '../../src/pipeline/pipeline.ts'
import { raw, standalone, until } from '../fixtures/servers.ts'
import { expectCaller, expectFailure, expectNothingLeft, expectRefusal } from './bad-input.ts'

const here = import.meta.url
const namespace = `badoptions${process.pid}`
let mill: Mill
beforeAll(async () => {
  mill = await connect({ url: (await standalone()).url, namespace, executors: 2 })
})
afterAll(async () => {
  await mill.close()
  await expectNothingLeft([await standalone()], namespace)
})
const numbers = (): Pipeline<number> => mill.from([1, 2, 3])

// What a JavaScript user, or one with `as never`, can hand over.
const wrong: [string, unknown][] = [
  ['timeoutMs', { timeoutMs: '5' }],
  ['timeoutMs', { timeoutMs: -1 }],
  ['timeoutMs', { timeoutMs: Number.NaN }],
  ['maxAttempts', { maxAttempts: 1.5 }],
  ['memoryMb', { memoryMb: null }],
  ['delayMs', { delayMs: Infinity }],
  ['priority', { priority: 'high' }],
  ['signal', { signal: 5 }],
  ['id', { id: '' }],
  ['id', { id: 'a b' }],
  ['timeout', { timeout: 5 }],
  ['an object of options', 5],
  ['an object of options', null],
]

describe('options of the wrong type', () => {
  it.each([
    ...wrong,
    ['onProgress', { onProgress: 5 }],
    ['onError', { onError: 'ignore' }],
    ['maxErrors', { maxErrors: 1 }],
  ])('of run: %s in %o', async (name, options) => {
    const error = await expectRefusal(numbers().run(options as never), 'PLAN_OPTION')
    expect(error.message).toContain(name)
    expectCaller(error, here, 'numbers().run(options')
  })

  it.each(wrong)('of submit: %s in %o', async (name, options) => {
    const error = await expectRefusal(
      mill.submitWith(options as never, () => 1),
      'PLAN_OPTION',
    )
    expect(error.message).toContain(name)
  })

  it('of readers, operations and sinks', async () => {
    const refused: [string, () => unknown][] = [
      ['from', () => mill.from(5 as never)],
      ['from', () => mill.from([], { partitions: 0 })],
      ['files', () => mill.files(5 as never)],
      ['files', () => mill.files('a', { format: 'xml' as never })],
      ['keys', () => mill.keys('a', { type: 'nope' as never })],
      ['map', () => numbers().map('f' as never)],
      ['limit', () => numbers().limit(-1)],
      ['sortBy', () => numbers().sortBy((n) => n, 'up' as never)],
      ['topK', () => numbers().topK(1.5)],
      ['with', () => numbers().with(null as never)],
      ['write', () => numbers().write({} as never)],
      ['toHash', () => mill.from([['a', 1] as [string, number]]).toHash('')],
      ['toSortedSet', () => mill.from([['a', 1] as [string, number]]).toSortedSet('k', { mode: 'append' as never })],
    ]
    for (const [name, call] of refused) {
      const error = await expectRefusal((async () => call())(), 'PLAN_OPTION')
      expect(error.message).toMatch(new RegExp(`^${name}: expected .*, got `, 's'))
    }
    expect((await expectRefusal(mill.submit(5 as never), 'PLAN_OPTION')).message).toContain('a function')
    const made = expectRefusal((async () => onWorker({} as never))(), 'PLAN_OPTION')
    expect((await made).message).toBe('onWorker: expected a function that makes the value, got object')
    for (const filter of [{ state: 'over' }, { sate: 'done' }, null]) {
      const error = await expectRefusal(mill.executions.list(filter as never), 'PLAN_OPTION')
      expect(error.message).toMatch(/^executions\.list: expected .*, got /)
    }
  })

  it('of connect and local', async () => {
    for (const options of [{ executors: 0 }, { leaseMs: 1 }, { workers: 'both' }, { namespace: '' }, { executor: 1 }]) {
      await expectRefusal(connect({ url: (await standalone()).url, ...options } as never), 'CONFIG_INVALID')
    }
    const { url } = await standalone()
    const given = [5, null, [], { url, logger: 5 }, { url, logger: { warn: () => undefined } }, { url, signal: {} }]
    for (const each of given) await expectRefusal(connect(each as never), 'CONFIG_INVALID')
    for (const each of [5, null, []]) {
      await expectRefusal(connect(url, each as never), 'CONFIG_INVALID')
      await expectRefusal(local(each as never), 'CONFIG_INVALID')
    }
    // What timers cannot wait for would not be waited for at all.
    for (const name of ['leaseMs', 'checkpointEveryMs']) {
      const error = await expectRefusal(connect(url, { [name]: 2 ** 31 }), 'CONFIG_INVALID')
      expect(error.message).toContain('2147483647')
    }
    const error = await expectRefusal(connect(url, { executors: Number.NaN }), 'CONFIG_INVALID')
    expect(error.message).toContain('got NaN')
    expect(() => mill.checkpointEvery(Number.NaN)).toThrow(expect.objectContaining({ code: 'CONFIG_INVALID' }))
    await expectRefusal(local({ url } as never), 'CONFIG_INVALID')
    await expectRefusal(local({ signal: 5 as never }), 'CONFIG_INVALID')
    await expectRefusal(local({ shards: 0 }), 'CONFIG_INVALID')
    await expectRefusal(local({ dir: 5 as never }), 'CONFIG_INVALID')
    await expectRefusal(local({ dir: '' }), 'CONFIG_INVALID')
    await expectRefusal(connect('http://localhost'), 'CONNECT_URL')
  })
})

describe('values of the wrong kind for a sink', () => {
  it('are errors of their records', async () => {
    const sinks = [
      numbers().write((n) => (n === 2 ? (5 as never) : ['SET', `${namespace}:n`, String(n)])),
      mill.from([{ key: 'a', value: 1 }, 2 as never, { key: 'b', value: 1 }]).toHash(`${namespace}:h`),
      mill
        .from([
          { key: 'a', value: 1 },
          { key: 'c', value: Number.NaN },
        ])
        .toSortedSet(`${namespace}:z`),
    ]
    for (const sink of sinks) {
      const { errors, written } = await sink.run({ onError: 'skip' })
      expect(errors).toMatchObject([{ code: 'PLAN_RECORD', place: 'item 1 of split 0' }])
      expect(written).toBeGreaterThan(0)
    }
    await raw(await standalone(), 'DEL', `${namespace}:n`, `${namespace}:h`, `${namespace}:z`)
  })

  it('effects that the server refuses or that may be none: named, with the line that built the sink', async () => {
    await mill.redis.set(`${namespace}:text`, 'no hash')
    const { errors, written } = await numbers()
      .write((n) => [
        ['HINCRBY', `${namespace}:${n === 2 ? 'text' : 'hash'}`, 'f', '1'],
        n === 3 ? ['FLUSHALL'] : ['INCR', `${namespace}:count`],
      ])
      .run({ onError: 'skip' })
    expect(written).toBe(2)
    expect(errors.map(({ code }) => code).sort()).toEqual(['EXECUTION_EFFECT', 'EXECUTION_EFFECT_REFUSED'])
    for (const error of errors) expectCaller(error, here, '.write(')
    const keyless = await numbers()
      .limit(1)
      .write(() => ['SET'])
      .run({ onError: 'skip' })
    expect(keyless.errors).toMatchObject([{ code: 'EXECUTION_EFFECT_REFUSED', message: expect.stringContaining('names no key') }]) // prettier-ignore
    const texts = errors.map(({ message }) => message).join()
    expect(texts).toContain(`HINCRBY on '${namespace}:text' was refused: WRONGTYPE`)
    expect(texts).toContain('write(f): FLUSHALL cannot be an effect')
    await mill.redis.del([`${namespace}:text`, `${namespace}:hash`, `${namespace}:count`])
  })
})

describe('a signal', () => {
  const forever = (): Pipeline<number> => numbers().map(() => new Promise<number>(() => undefined))

  it('given before the start', async () => {
    const signal = AbortSignal.abort(new Error('not today'))
    const error = await expectFailure(numbers().run({ signal }), 'EXECUTION_ABORTED')
    expect(error.cause).toMatchObject({ message: 'not today' })
    await expectFailure(
      mill.submitWith({ signal }, () => 1),
      'EXECUTION_ABORTED',
    )
  })

  it('given while items are read, and while tasks run', async () => {
    const reading = new AbortController()
    const endless = (function* () {
      for (let i = 0; ; i++) {
        if (i === 1000) reading.abort()
        yield i
      }
    })()
    await expectFailure(mill.from(endless).run({ signal: reading.signal }), 'EXECUTION_ABORTED')

    const spin = numbers().map((n) => {
      for (;;) if (n === 0) return n
    })
    for (const pipeline of [forever(), spin]) {
      const running = new AbortController()
      const result = expectFailure(pipeline.run({ signal: running.signal }), 'EXECUTION_ABORTED')
      await until(() => mill.executors.busy.length > 0)
      running.abort()
      await result
      await until(() => mill.executors.busy.length === 0)
    }
    expect(
      await numbers()
        .map((n) => n)
        .run(),
    ).toEqual([1, 2, 3])
  })

  it('of abort() on a started execution', async () => {
    const execution = await forever().start()
    await execution.abort()
    await execution.abort()
    await expectFailure(execution.result(), 'EXECUTION_ABORTED')
  })
})

describe('a mill that was closed', () => {
  it('refuses everything, and closes again without harm', async () => {
    const closed = await connect({ url: (await standalone()).url, namespace, executors: 1 })
    const running = closed
      .from([1])
      .map(() => new Promise<number>(() => undefined))
      .run()
    const result = expectRefusal(running, 'CONNECT_CLOSED')
    await until(() => closed.executors.busy.length === 1)
    await Promise.all([closed.close(), closed.close()])
    await closed.close()
    expect((await result).message).toContain('closed while execution')
    const uses = [
      () => closed.from([1]).run(),
      () =>
        closed
          .from([1])
          .map((n) => n)
          .start(),
      () => closed.files(import.meta.filename).run(),
      () => closed.keys('*').run(),
      () => closed.submit(() => 1),
      () => closed.redis.get('a'),
      () => closed.executions.list(),
      () => closed.executions.get('a'),
    ]
    for (const use of uses) {
      const error = await expectRefusal(use(), 'CONNECT_CLOSED')
      expect(error.hint).toContain('connect()')
    }
  })
})
