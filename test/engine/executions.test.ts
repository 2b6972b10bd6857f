// The engine end to end: stages, effects, failures, deaths, on real servers with real executors.
import { afterEach, expect, it } from 'vitest'
import { laneKeys, laneOfExecution } from '../../src/engine/keys.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'
import { failuresOf, harness, resultsOf, type Harness, type HarnessOptions } from './harness.ts'

describeTopologies('executions', (topology) => {
  let open: Harness | undefined
  afterEach(async () => {
    await open?.[Symbol.asyncDispose]()
    open = undefined
    await flush()
  })
  const start = async (options: Omit<HarnessOptions, 'url'> = {}): Promise<Harness> => {
    open = await harness({ url: await topology.url(), ...options })
    return open
  }
  const total = (count: number): number => (count * (count - 1)) / 2

  it.each(['files', 'redis'] as const)('runs stage after stage over blocks in %s', async (blocks) => {
    const mill = await start({ blocks })
    const handle = await mill.submit([
      { kind: 'numbers', tasks: 9, records: 100, partitions: 3 },
      { kind: 'sums', tasks: 3, from: 0 },
    ])
    expect(await handle.ended()).toEqual({ id: handle.id, state: 'done', errors: 0, written: 0 })
    const sums = (await resultsOf(handle)) as number[]
    expect(sums).toHaveLength(3)
    expect(sums.reduce((a, b) => a + b)).toBe(total(900))
    const status = await handle.status()
    expect(status.stages).toEqual([
      { tasks: 9, done: 9, in: 900, out: 900, bytes: 0 },
      { tasks: 3, done: 3, in: 3, out: 3, bytes: 0 },
    ])
    await handle.remove()
    expect((await mill.keys()).filter((key) => key.includes(':x:') || key.includes(':b:'))).toEqual([])
  })

  it('runs executions that were submitted in the same moment, whose tasks have equal numbers in several lanes', async () => {
    // A task that is taken for another one would wait for its lease to end.
    const mill = await start({ executors: 1, leaseMs: 3_600_000 })
    for (let round = 0; round < 40; round++) {
      const submit = () => mill.submit([{ kind: 'numbers', tasks: 1, records: 1, partitions: 1 }])
      const handles = await Promise.all(Array.from({ length: 4 }, submit))
      for (const handle of handles) expect(await handle.ended()).toMatchObject({ state: 'done' })
    }
  })

  it('skips stages without tasks and ends an execution that has none', async () => {
    const mill = await start()
    const handle = await mill.submit([
      { kind: 'numbers', tasks: 0, records: 0, partitions: 1 },
      { kind: 'numbers', tasks: 0, records: 0, partitions: 1 },
    ])
    expect((await handle.ended()).state).toBe('done')
    expect(await resultsOf(handle)).toEqual([])
  })

  it.each([1, 5, 400])('applies effects of %i records a task once', async (records) => {
    const mill = await start()
    const effects = [
      ['HINCRBY', 'counts', '%', '1'],
      ['INCR', 'count:%'],
      ['HINCRBY', 'counts', 'all', '1'],
    ]
    const handle = await mill.submit([{ kind: 'numbers', tasks: 4, records, effects }])
    expect(await handle.ended()).toMatchObject({ state: 'done', errors: 0, written: 12 * records })
    expect(await mill.deployment.command('counts', ['HGET', 'counts', 'all'])).toBe(String(4 * records))
    expect(await mill.deployment.command('count:0', ['GET', 'count:0'])).toBe('1')
    expect(await mill.deployment.command('count:3', ['GET', 'count:3'])).toBe('1')
  })

  it.each([3, 500])('reports an effect that fails, and goes on (%i records)', async (records) => {
    const mill = await start()
    await mill.deployment.command('text', ['SET', 'text', 'no hash'])
    const effects = [
      ['HINCRBY', 'good', '%', '1'],
      ['HINCRBY', 'text', '%', '1'],
      ['HINCRBY', 'never', '%', '1'],
    ]
    const handle = await mill.submit([{ kind: 'numbers', tasks: 2, records, effects }])
    expect(await handle.ended()).toMatchObject({ state: 'done', errors: 2 * records, written: 2 * records })
    const failures = await failuresOf(handle)
    expect(failures).toHaveLength(2 * records)
    expect(failures[0]).toMatchObject({ code: 'EXECUTION_EFFECT', place: 'stage 0, task 0, record 0' })
    expect(failures[0]?.message).toContain("HINCRBY on 'text' was refused: WRONGTYPE")
    expect(failures[0]?.message).toContain('1 more commands')
    expect(await mill.deployment.command('good', ['HLEN', 'good'])).toBe(2 * records)
    expect(await mill.deployment.command('never', ['EXISTS', 'never'])).toBe(0)
  })

  it('replays what a refused effect held back, once', async () => {
    const mill = await start()
    const { deployment } = mill
    await deployment.command('text', ['SET', 'text', 'no hash'])
    const effects = [
      ['HINCRBY', 'good', '%', '1'],
      ['HINCRBY', 'text', '%', '1'],
      ['RPUSH', 'list', '%'],
      ['HINCRBY', 'late', '%', '1'],
    ]
    const handle = await mill.submit([{ kind: 'numbers', tasks: 1, records: 3, effects }])
    await handle.ended()
    expect(await handle.deadLetters()).toMatchObject([
      {
        id: '0.0.0',
        reason: expect.stringContaining('WRONGTYPE') as string,
        commands: effects.slice(1).map((c) => [c[0], c[1], '0', ...c.slice(3)]),
      },
      { id: '0.0.1' },
      { id: '0.0.2' },
    ])
    expect(await handle.replay()).toEqual({ applied: 0, left: 3 })
    await deployment.command('text', ['DEL', 'text'])
    await deployment.command('late', ['SET', 'late', 'no hash either'])
    expect(await handle.replay()).toEqual({ applied: 6, left: 3 })
    await deployment.command('late', ['DEL', 'late'])
    expect(await handle.replay()).toEqual({ applied: 3, left: 0 })
    expect(await handle.deadLetters()).toEqual([])
    expect(await handle.replay()).toEqual({ applied: 0, left: 0 })
    expect(await deployment.command('good', ['HVALS', 'good'])).toEqual(['1', '1', '1'])
    expect(await deployment.command('text', ['HVALS', 'text'])).toEqual(['1', '1', '1'])
    expect(await deployment.command('late', ['HVALS', 'late'])).toEqual(['1', '1', '1'])
    expect(await deployment.command('list', ['LRANGE', 'list', 0, -1])).toEqual(['0', '1', '2'])
  })

  it('refuses commands that may not be effects, as errors of their records', async () => {
    const mill = await start()
    for (const command of [['FLUSHALL'], ['GET', 'a'], ['BLPOP', 'a', '0'], ['NOSUCH', 'a']]) {
      const handle = await mill.submit([{ kind: 'numbers', tasks: 1, records: 1, effects: [command] }])
      expect(await handle.ended()).toMatchObject({ state: 'done', errors: 1, written: 0 })
      expect(await failuresOf(handle)).toMatchObject([{ code: 'EXECUTION_EFFECT_REFUSED' }])
    }
  })

  it('reports failed records in the order of tasks', async () => {
    const mill = await start()
    const bad = { 3: 'fail', 15: 'fail', 42: 'fail' } as const
    const handle = await mill.submit([{ kind: 'numbers', tasks: 5, records: 10, partitions: 1, bad }])
    expect(await handle.ended()).toMatchObject({ state: 'done', errors: 3 })
    expect((await failuresOf(handle)).map(({ record }) => record)).toEqual([3, 15, 42])
    expect(await resultsOf(handle)).toHaveLength(47)
  })

  it('ends when more records fail than are allowed', async () => {
    const mill = await start()
    const bad = { 1: 'fail', 2: 'fail', 3: 'fail' } as const
    const stages = [{ kind: 'numbers', tasks: 4, records: 10, partitions: 1, bad }] as const
    const ended = await (await mill.submit(stages, { maxErrors: 2 })).ended()
    expect(ended).toMatchObject({ state: 'failed', failure: { code: 'EXECUTION_FAILED' } })
    expect(await (await mill.submit(stages, { maxErrors: 3 })).ended()).toMatchObject({ state: 'done', errors: 3 })
  })

  it.each(['exit', 'kill'] as const)('finds the record that makes its executor %s', async (how) => {
    const mill = await start()
    const handle = await mill.submit([
      { kind: 'numbers', tasks: 3, records: 50, partitions: 1, bad: { 77: how } },
      { kind: 'sums', tasks: 1, from: 0 },
    ])
    expect(await handle.ended()).toMatchObject({ state: 'done', errors: 1 })
    expect(await resultsOf(handle)).toEqual([total(150) - 77])
    const [failure] = await failuresOf(handle)
    expect(failure).toMatchObject({ code: 'EXECUTION_CRASHED', place: 'stage 0, task 1, record 27' })
  })

  it('finds the record that never ends', async () => {
    const mill = await start()
    const handle = await mill.submit([{ kind: 'numbers', tasks: 2, records: 20, partitions: 1, bad: { 25: 'hang' } }], {
      timeoutMs: 1000,
      // On a busy machine good records may take as long.
      maxAttempts: 0,
    })
    expect(await handle.ended()).toMatchObject({ state: 'done', errors: 1 })
    expect(await failuresOf(handle)).toMatchObject([{ code: 'EXECUTION_TIMEOUT' }])
    expect(await resultsOf(handle)).toHaveLength(39)
  })

  it('finds the record that eats memory outside of the heap', async () => {
    const mill = await start()
    const handle = await mill.submit([{ kind: 'numbers', tasks: 2, records: 20, partitions: 1, bad: { 5: 'grow' } }], {
      memoryMb: 300,
    })
    expect(await handle.ended()).toMatchObject({ state: 'done', errors: 1 })
    expect(await failuresOf(handle)).toMatchObject([{ code: 'EXECUTION_MEMORY' }])
    expect(await resultsOf(handle)).toHaveLength(39)
  })

  it('fails the execution when a task fails again and again for no record', async () => {
    const mill = await start()
    const handle = await mill.submit([{ kind: 'numbers', tasks: 2, records: 20, partitions: 1, bad: { 5: 'throw' } }])
    expect(await handle.ended()).toMatchObject({
      state: 'failed',
      failure: { code: 'EXECUTION_CRASHED', message: 'out of luck', cause: { name: 'RangeError' } },
    })
  })

  it('aborts what runs, a task that does not react included', async () => {
    const mill = await start()
    const handle = await mill.submit([
      { kind: 'numbers', tasks: 50, records: 20, sleepMs: 50, batch: 1, partitions: 1, bad: { 3: 'hang' } },
    ])
    await expect.poll(() => mill.workers[0]?.busyPids.length).toBe(2)
    await handle.abort()
    expect(await handle.ended()).toMatchObject({ state: 'aborted', failure: { code: 'EXECUTION_ABORTED' } })
    await expect.poll(() => mill.workers[0]?.busyPids.length).toBe(0)
    const next = await mill.submit([{ kind: 'numbers', tasks: 2, records: 2, partitions: 1 }])
    expect(await next.ended()).toMatchObject({ state: 'done' })
  })

  it('goes on with all that it took over when its only executor dies as it starts', async () => {
    const mill = await start({ workers: 0, executors: 1, leaseMs: 300 })
    const handle = await mill.submit([{ kind: 'numbers', tasks: 6, records: 2, partitions: 1 }])
    const { tasks } = laneKeys(mill.namespace, laneOfExecution(handle.id), 'remote')
    const dead = ['XREADGROUP', 'GROUP', 'gm', 'dead', 'COUNT', 6, 'STREAMS', tasks, '>']
    expect(await mill.deployment.command(tasks, dead)).not.toBeNull()
    const worker = await mill.addWorker()
    await expect.poll(() => worker.executorPids, { interval: 1 }).toHaveLength(1)
    process.kill(worker.executorPids[0] as number, 'SIGKILL')
    expect(await handle.ended()).toMatchObject({ state: 'done' })
    expect(await resultsOf(handle)).toHaveLength(12)
  })

  it.each([0, 4])(
    'goes on after three deaths before the limits were read, %i attempts allowed',
    async (maxAttempts) => {
      const mill = await start({ executors: 1, fault: { at: 'before-read', times: 3 } })
      const stages = [{ kind: 'numbers', tasks: 1, records: 2, partitions: 1 }] as const
      const handle = await mill.submit(stages, { maxAttempts })
      expect(await handle.ended()).toMatchObject({ state: 'done', errors: 0 })
      expect(await resultsOf(handle)).toHaveLength(2)
    },
  )

  it('starts late where a delay is asked for', async () => {
    const mill = await start()
    const handle = await mill.submit([{ kind: 'numbers', tasks: 1, records: 1, partitions: 1 }], { delayMs: 3000 })
    expect((await handle.status()).state).toBe('waiting')
    const { created } = await handle.status()
    expect(await handle.ended()).toMatchObject({ state: 'done' })
    expect(((await handle.status()).ended ?? 0) - created).toBeGreaterThanOrEqual(3000)
  })

  it('takes the same id for the same execution', async () => {
    const mill = await start()
    const effects = [['INCR', 'runs']]
    const stages = [{ kind: 'numbers', tasks: 1, records: 1, effects }] as const
    const [first, second] = await Promise.all([
      mill.submit(stages, { id: 'once' }),
      mill.submit(stages, { id: 'once' }),
    ])
    await Promise.all([first.ended(), second.ended()])
    expect(await mill.deployment.command('runs', ['GET', 'runs'])).toBe('1')
  })
})
