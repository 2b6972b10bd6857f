// `gearmill ls`, `inspect` and `abort`: executions of any group, on a server and on a cluster.
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { connect, type ExecutionStatus, type Mill } from '../../src/index.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'
import { gearmill, type Outcome } from './command-line.ts'

describeTopologies('executions from the command line', (topology) => {
  let url: string
  let mill: Mill
  beforeAll(async () => {
    url = await topology.url()
  })
  beforeEach(async () => {
    mill = await connect({ url, executors: 1 })
    return () => mill.close()
  })
  afterAll(() => flush())

  const call = (...args: string[]): Promise<Outcome> => gearmill([...args, '--url', url])
  const parsed = ({ stdout }: Outcome): unknown => JSON.parse(stdout)

  it('lists them with their state, the latest first', async () => {
    expect(await call('ls')).toMatchObject({ code: 0, stdout: '', stderr: 'no executions\n' })
    const first = await mill.submit(() => 1)
    await first.result()
    const second = await mill.from([1, 2, 3], { partitions: 3 }).countBy().start()
    await second.result()
    const { stdout } = await call('ls')
    expect(stdout.split('\n')[0]).toMatch(/^id +state +stages +tasks +errors +retries +created +time +group$/)
    const [above, below] = stdout.split('\n').slice(1)
    expect(above).toMatch(new RegExp(`^${second.id} +done +2 +(\\d+)/\\1 +0 +0 `))
    expect(below).toMatch(new RegExp(`^${first.id} +done +1 +1/1 +0 +0 `))
    const all = parsed(await call('ls', '--json')) as (ExecutionStatus & { group: string })[]
    expect(all.map(({ id, state }) => [id, state])).toEqual([
      [second.id, 'done'],
      [first.id, 'done'],
    ])
    expect(all[0]?.group).toMatch(/^local-/)
    expect(parsed(await call('ls', '--json', '--state', 'failed'))).toEqual([])
    expect(await call('ls', '--state', 'lost')).toMatchObject({ code: 2 })
  })

  it('inspects one: plan, stages, profile, and what failed', async () => {
    const execution = await mill
      .from(['a', 'b', 'a'])
      .map((word) => {
        if (word === 'b') throw new RangeError('b is bad')
        return word
      })
      .countBy()
      .start()
    await expect(execution.result()).rejects.toMatchObject({ code: 'EXECUTION_FAILED' })
    const { code, stdout } = await call('inspect', execution.id)
    expect(code).toBe(0)
    expect(stdout).toContain(`id        ${execution.id}\nkind      pipeline\n`)
    expect(stdout).toMatch(/\nerrors +1\n/)
    expect(stdout).toMatch(/\nstage 0: 1 task\n {2}from\(.* \. map\(.* \. shuffle countBy/)
    expect(stdout).toMatch(/\nstage +tasks +attempts +in +out +read +sent +reader ms/)
    const inspection = parsed(await call('inspect', execution.id, '--json'))
    expect(inspection).toMatchObject({
      ...{ id: execution.id, kind: 'pipeline', state: 'done', errors: 1 },
      plan: [{ stage: 0, tasks: 1 }, { stage: 1 }],
      profile: { id: execution.id, stages: [{ in: 3, attempts: 1 }, { done: 1 }] },
      letters: [],
    })
  })

  it('shows what the server refused, and what ended an execution', async () => {
    await mill.redis.set('text', 'x')
    const refused = await mill
      .from([1])
      .write(() => ['RPUSH', 'text', '1'])
      .start()
    await expect(refused.result()).rejects.toMatchObject({ code: 'EXECUTION_FAILED' })
    const { stdout } = await call('inspect', refused.id)
    expect(stdout).toMatch(/refused 0\.0\.0: .*WRONGTYPE.*\n {2}RPUSH text 1/)
    const dead = await mill.submitWith({ maxAttempts: 1 }, () => process.exit(3))
    await expect(dead.result()).rejects.toMatchObject({ code: 'EXECUTION_FAILED' })
    expect(parsed(await call('inspect', dead.id, '--json'))).toMatchObject({ kind: 'call', errors: 1, retries: 1 })
    await mill.redis.del('text')
  })

  it('aborts what runs, and leaves alone what has ended', async () => {
    const running = await mill.submit(() => new Promise<void>(() => undefined))
    expect(await call('abort', running.id)).toMatchObject({ code: 0, stderr: `${running.id} is aborted\n` })
    await expect(running.result()).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
    const done = await mill.submit(() => 1)
    await done.result()
    expect(parsed(await call('abort', done.id, '--json'))).toEqual({ id: done.id, state: 'done' })
    expect(parsed(await call('inspect', running.id, '--json'))).toMatchObject({
      state: 'aborted',
      failure: { code: 'EXECUTION_ABORTED' },
    })
  })

  it('says that it does not know an execution', async () => {
    for (const command of ['inspect', 'abort']) {
      expect(await call(command, 'nothing')).toMatchObject({
        code: 1,
        stderr: expect.stringContaining('EXECUTION_LOST'),
      })
    }
  })
})
