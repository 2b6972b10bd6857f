// The mill itself: opening, submitting, looking up executions, closing without a trace.
import { getEventListeners } from 'node:events'
import { readdirSync } from 'node:fs'
import { hostname, tmpdir } from 'node:os'
import { afterEach, expect, expectTypeOf, it, vi } from 'vitest'
import { connect, local, type CallExecution, type Mill } from '../../src/index.ts'
import { describeTopologies, flush, raw, standalone, until } from '../fixtures/servers.ts'

const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})
const opened = async (mill: Promise<Mill>): Promise<Mill> => {
  open.push(await mill)
  return mill
}

describeTopologies('a mill', (topology) => {
  const start = async (): Promise<Mill> => opened(connect(await topology.url(), { executors: 2 }))

  it('runs a function with what it captured', async () => {
    const mill = await start()
    const offset = { by: 40 }
    const execution = await mill.submit((n: number, text: string) => `${text} ${n + offset.by}`, 2, 'is')
    expectTypeOf(execution).toEqualTypeOf<CallExecution<string>>()
    expect(await execution.result()).toBe('is 42')
    expect(await execution.status()).toMatchObject({ id: execution.id, state: 'done', errors: 0, retries: 0 })
    for await (const value of execution.results()) expect(value).toBe('is 42')
  })

  it('gives functions the executor’s own mill', async () => {
    const mill = await start()
    const { redis } = mill
    await redis.set('a', '1')
    const execution = await mill.submit(async () => [await mill.redis.incr('a'), await redis.get('a'), process.pid])
    const [after, read, pid] = await execution.result()
    expect([after, read]).toEqual([2, '2'])
    expect(pid).not.toBe(process.pid)
  })

  it('finds executions again, and forgets them', async () => {
    const mill = await start()
    const execution = await mill.submit(() => [1, 2])
    await execution.result()
    const [first] = await mill.executions.list({ state: 'done' })
    expect(first).toMatchObject({ id: execution.id, state: 'done' })
    expect(await mill.executions.list({ state: 'failed' })).toEqual([])
    expect(await (await mill.executions.get(execution.id)).result()).toEqual([[1, 2]])
    await mill.executions.remove(execution.id)
    await expect(mill.executions.get(execution.id)).rejects.toMatchObject({ code: 'EXECUTION_LOST' })
    expect(await mill.executions.list()).toEqual([])
  })

  it('leaves no key, process, or file behind', async () => {
    const mill = await start()
    const partitions = { partitions: 4 }
    await mill
      .from(
        Array.from({ length: 1000 }, (_, i) => i % 7),
        partitions,
      )
      .countBy()
      .toSortedSet('counts')
      .run()
    await mill
      .from([1, 2, 3])
      .write((n) => ['INCR', `n:${n}`])
      .run()
    const pids = mill.executors.pids
    expect(pids.length).toBeGreaterThan(0)
    await mill.close()
    for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    const own = new RegExp(`^gearmill-(blocks|scratch)\\.${hostname()}\\.${process.pid}\\.`)
    const left = readdirSync(tmpdir()).filter((name) => own.test(name))
    expect(left).toEqual([])
    const again = await start()
    const keys: string[] = []
    for (const { id } of again.topology.shards) keys.push(id)
    expect(keys.length).toBe(topology.kind === 'cluster' ? 3 : 1)
  })
})

it('leaves nothing under the namespace of a server that goes on', async () => {
  const server = await standalone()
  const mill = await opened(connect({ url: server.url, namespace: 'left', executors: 1 }))
  await mill.submit(() => 1).then((execution) => execution.result())
  await mill.close()
  expect(await raw(server, 'KEYS', 'left*')).toEqual([])
})

it('shows what functions write to their console', async () => {
  const mill = await opened(local({ executors: 1 }))
  const log = vi.spyOn(console, 'log').mockImplementation(() => undefined)
  try {
    const execution = await mill.submit(() => {
      console.log('%s and %d', 'words', 7, { a: 1 })
    })
    await execution.result()
    await expect.poll(() => log.mock.calls).toContainEqual(['words and 7 { a: 1 }'])
  } finally {
    log.mockRestore()
  }
})

it('keeps the data of a folder', async () => {
  const server = await standalone()
  const dir = `${server.dir}/kept`
  const first = await local({ dir, executors: 1 })
  await first.redis.set('kept', 'yes')
  await first.close()
  const second = await opened(local({ dir, executors: 1 }))
  expect(await second.redis.get('kept')).toBe('yes')
})

it('does not say that what was aborted is tried again', async () => {
  const said: string[] = []
  const say = (message: string): void => void said.push(message)
  const logger = { debug: say, info: say, warn: say, error: say }
  const mill = await opened(connect({ url: (await standalone()).url, executors: 1, logger }))
  const endless = await mill.submit(() => {
    for (;;);
  })
  await until(() => mill.executors.busy.length === 1)
  await endless.abort()
  await expect(endless.result()).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
  // Runs in the process that takes the place of the one that had to be killed.
  expect(await (await mill.submit(() => 1)).result()).toBe(1)
  expect(said.filter((line) => line.includes('aborted') || line.includes('again'))).toEqual([])
})

it('waits for what comes in months, and ends who follows it when it is closed', async () => {
  const warned = vi.spyOn(process, 'emitWarning')
  const mill = await opened(connect({ url: (await standalone()).url, executors: 1 }))
  const execution = await mill.submitWith({ delayMs: 2 ** 32 }, () => 1)
  // Served by the same reader of events, after the delay was heard of.
  expect(await (await mill.submitWith({ delayMs: 1 }, () => 2)).result()).toBe(2)
  expect((await execution.status()).state).toBe('waiting')
  const progress = execution.progress()[Symbol.asyncIterator]()
  expect(await progress.next()).toMatchObject({ value: { state: 'waiting' } })
  const following = progress.next().catch((error: unknown) => error)
  await mill.close()
  expect(await following).toMatchObject({ code: 'CONNECT_CLOSED' })
  expect(warned.mock.calls.filter(([text]) => String(text).includes('32-bit'))).toEqual([])
  warned.mockRestore()
})

it('is closed by its signal', async () => {
  const controller = new AbortController()
  const mill = await opened(local({ executors: 1, signal: controller.signal }))
  controller.abort()
  await mill.close()
  await expect(mill.redis.get('a')).rejects.toMatchObject({ code: 'CONNECT_CLOSED' })
  // A signal may outlive many mills.
  expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0)
})

it('is opened by a URL of either kind, with options beside it', async () => {
  const { url } = await standalone()
  for (const given of [new URL(url), { url, executors: 9 }]) {
    const mill = await opened(connect(given, { executors: 1, workers: 'remote' }))
    expect(mill.config).toMatchObject({ executors: 1 })
    expect(mill.config.url.replace(/\/$/, '')).toBe(url)
    await mill.close()
  }
})
