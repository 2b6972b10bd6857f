// Functions that throw, never end, eat memory or end their process: an error for their record, results for all others.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, onWorker, type Mill } from '../../src/index.ts'
import { silent, type Logger } from '../../src/engine/logger.ts'
import type { RecordError } from '../../src/errors.ts'
import type { Outcome, Pipeline } from '../../src/pipeline/pipeline.ts'
import { cluster, standalone } from '../fixtures/servers.ts'
import { expectCaller, expectFailure, expectNothingLeft } from './bad-input.ts'

const here = import.meta.url
const skip = { onError: 'skip' } as const
const others = [0, 1, 2, 4, 5, 6, 7, 8, 9]

describe.each(['standalone', 'cluster'] as const)('functions (%s)', (kind) => {
  const namespace = `bad${process.pid}`
  const said: string[] = []
  const say = (message: string): void => void said.push(message)
  const logger: Logger = { ...silent, warn: say, error: say }
  let mill: Mill

  beforeAll(async () => {
    const { url } = kind === 'standalone' ? await standalone() : await cluster()
    mill = await connect({ url, namespace, executors: 2, logger })
  })
  afterAll(async () => {
    await mill.close()
    const servers = kind === 'standalone' ? [await standalone()] : (await cluster()).nodes
    await expectNothingLeft(servers, namespace)
  })

  const ten = (): Pipeline<number> => mill.from([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], { partitions: 2 })

  /** One record failed, the third, and all others are there; the executors go on afterwards. */
  const expectOnlyThree = async ({ results, errors }: Outcome<number>, code: string): Promise<RecordError> => {
    expect(results).toEqual(others)
    expect(errors).toMatchObject([{ code, record: 3, place: 'item 3 of split 0' }])
    const [error] = errors as [RecordError]
    expect(error.message).toContain('map(f)')
    expect(error.hint).not.toBe('')
    expect(error.worker).not.toBe('')
    expectCaller(error, here, '.map(')
    expect(await (await mill.submit(() => 1)).result()).toBe(1)
    return error
  }

  it('throws: run() rejects with the record, its place, the line that built it, and the other results', async () => {
    const thrower = ten().map((n) => {
      if (n === 3) throw new TypeError('no three')
      return n
    })
    const error = await expectFailure<number>(thrower.run(), 'EXECUTION_FAILED')
    expect(error.message).toContain('no three')
    expectCaller(error, here, 'thrower.run()')
    const first = await expectOnlyThree({ results: [...error.results], errors: [...error.errors] }, 'EXECUTION_RECORD')
    expect(first.cause).toMatchObject({ name: 'TypeError', message: 'no three' })
  })

  it('throws what is no error', async () => {
    const throwing = ten().with({ thrown: ['a text', null, undefined, 7, { why: 'so' }] })
    const { results, errors } = await throwing
      .map((n, { thrown }) => {
        if (n < 5) throw thrown[n] as unknown
        return n
      })
      .run(skip)
    expect(results).toEqual([5, 6, 7, 8, 9])
    expect(errors.map(({ code }) => code)).toEqual(Array.from({ length: 5 }, () => 'EXECUTION_RECORD'))
    expect(errors.map(({ message }) => message)).toEqual(
      ["'a text'", 'null', 'undefined', '7', "{ why: 'so' }"].map((shown) => `map(f) threw ${shown}`),
    )
    expectCaller(errors[4], here, '.map(')
  })

  // On a busy machine good records may take as long, once or twice: those attempts end no run here.
  const impatient = { ...skip, timeoutMs: 1000, maxAttempts: 0 } as const

  it('never ends', async () => {
    const spinning = ten().map((n) => {
      while (n === 3);
      return n
    })
    const error = await expectOnlyThree(await spinning.run(impatient), 'EXECUTION_TIMEOUT')
    expect(error.message).toContain('1000 ms')
  })

  it('returns a promise that never settles', async () => {
    const waiting = ten().map((n) => (n === 3 ? new Promise<number>(() => undefined) : n))
    await expectOnlyThree(await waiting.run(impatient), 'EXECUTION_TIMEOUT')
  })

  it('does not count the start of an executor as the time of a task', async () => {
    const fresh = (): Promise<Mill> => connect({ ...mill.config, url: mill.config.url, executors: 1, logger })
    const startMs = async (): Promise<number> => {
      await using starting = await fresh()
      const began = performance.now()
      await (await starting.submit(() => 1)).result()
      return performance.now() - began
    }
    // Longer than the records take, shorter than a process needs to start: if starting counted, no attempt would do.
    const timeoutMs = Math.ceil((await startMs()) / 2)
    await using slow = await fresh()
    const same = slow.from([1, 2]).map((n) => n)
    expect(await same.run({ timeoutMs, maxAttempts: 0 })).toEqual([1, 2])
  })

  // More than twice the limit, and no more: they are found when the machine has time to look.
  const eaters: [string, (n: number) => number][] = [
    [
      'heap',
      (n) => {
        const kept: unknown[] = []
        while (n === 3) if (kept.length < 800) kept.push(new Array(100_000).fill(n))
        return n
      },
    ],
    [
      'Buffers',
      (n) => {
        const kept: unknown[] = []
        while (n === 3) if (kept.length < 80) kept.push(Buffer.alloc(8 * 1024 * 1024, 1))
        return n
      },
    ],
    [
      'WebAssembly',
      (n) => {
        interface Memories {
          readonly Memory: new (limits: { initial: number }) => { readonly buffer: ArrayBuffer }
        }
        const { Memory } = (globalThis as unknown as { readonly WebAssembly: Memories }).WebAssembly
        const kept: unknown[] = []
        while (n === 3) {
          if (kept.length === 80) continue
          const memory = new Memory({ initial: 128 })
          new Uint8Array(memory.buffer).fill(1)
          kept.push(memory)
        }
        return n
      },
    ],
  ]
  it.each(eaters)('eats memory: %s', async (_, eat) => {
    const error = await expectOnlyThree(
      await ten()
        .map(eat)
        .run({ ...skip, memoryMb: 300 }),
      'EXECUTION_MEMORY',
    )
    expect(error.message).toContain('300 MiB')
  })

  const enders: [string, string, (n: number) => number][] = [
    ['exit(0)', 'exited with code 0', (n) => (n === 3 ? process.exit(0) : n)],
    ['exit(7)', 'exited with code 7', (n) => (n === 3 ? process.exit(7) : n)],
    ['abort()', 'was killed by SIGABRT', (n) => (n === 3 ? process.abort() : n)],
    ['kill', 'was killed by SIGKILL', (n) => (n === 3 && process.kill(process.pid, 'SIGKILL') ? n : n)],
  ]
  it.each(enders)('ends its process: %s', async (_, how, end) => {
    // Asynchronous, so that the signal is there before the record is over.
    const ending = ten().map(async (n) => {
      const value = end(n)
      if (n === 3) await new Promise((resolve) => setTimeout(resolve, 5000))
      return value
    })
    const error = await expectOnlyThree(await ending.run(skip), 'EXECUTION_CRASHED')
    expect(error.message).toContain(how)
  })

  it('leaves a rejected promise that nobody awaits', async () => {
    const floating = ten().map((n) => {
      if (n === 3) void Promise.reject(new RangeError('floating'))
      return n
    })
    const error = await expectOnlyThree(await floating.run(skip), 'EXECUTION_RECORD')
    expect(error.message).toBe(
      'map(f): threw RangeError: floating, outside of its call (a rejected promise that nobody awaits)',
    )
    expect(error.cause).toMatchObject({ name: 'RangeError', message: 'floating' })
  })

  it('throws in a timer while others wait', async () => {
    const ticking = ten().map(async (n) => {
      const timer = new Promise<void>((resolve) => setTimeout(resolve, 30))
      if (n === 3) {
        setTimeout(() => {
          throw new Error('tick')
        }, 1)
      }
      await timer
      return n
    })
    const error = await expectOnlyThree(await ticking.run(skip), 'EXECUTION_RECORD')
    expect(error.message).toContain('threw Error: tick, outside of its call (in a callback)')
  })

  it('throws in a timer after its task has ended: said, and no other record pays', async () => {
    const later = ten().map((n) => {
      if (n === 3) setTimeout(() => void Promise.reject(new Error('too late to tell')), 3000)
      return n
    })
    expect(await later.run()).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    await expect.poll(() => said.join('\n')).toContain('too late to tell')
    expect(
      await ten()
        .map((n) => n)
        .run(),
    ).toHaveLength(10)
  })

  it('fails in submit()', async () => {
    const died = await mill.submit((code: number) => process.exit(code), 0)
    const error = await expectFailure(died.result(), 'EXECUTION_FAILED')
    expect(error.errors).toMatchObject([{ code: 'EXECUTION_CRASHED' }])
    expectCaller(error.errors[0], here, 'await mill.submit(')
    const never = await mill.submitWith({ timeoutMs: 1000, maxAttempts: 0 }, () => new Promise(() => undefined))
    const late = await expectFailure(never.result(), 'EXECUTION_FAILED')
    expect(late.errors).toMatchObject([{ code: 'EXECUTION_TIMEOUT' }])
  })

  it('breaks what its process stands on: the next task gets another one', async () => {
    const breaking = await mill.submitWith({ maxAttempts: 1 }, () => {
      Reflect.set(Array.prototype, 'map', null)
    })
    // Whether its own commit still works is not said.
    await breaking.result().catch(() => undefined)
    for (let i = 0; i < 3; i++) expect(await ten().countBy().count().run()).toEqual([10])
  })

  it('takes all listeners from its process: the next task is heard of', async () => {
    await (await mill.submit(() => void process.removeAllListeners())).result()
    for (let i = 0; i < 3; i++) expect(await ten().countBy().count().run()).toEqual([10])
  })

  it('makes no resource: what it was, and what was thrown', async () => {
    const using = ten().with({ db: onWorker((): number => JSON.parse('no db') as number) })
    const running = using.map((n, { db }) => n + db).run({ ...skip, maxAttempts: 2 })
    const error = await expectFailure(running, 'EXECUTION_RESOURCE')
    expect(error.message).toContain('with({ db: onWorker(f) }): f threw SyntaxError')
  })
})
