// gm_exec: stores scripts as executions, for the group that runs them.
import { expect, it } from 'vitest'
import { textMapOf } from '../../../src/redis/replies.ts'
import { useLane } from './lane.ts'

const lane = useLane()
const home = (): string => lane.keys.executions.slice(0, -':x:'.length)
const exec = async (...args: (string | number)[]): Promise<string> =>
  (await lane.call('exec', [home()], ...args)) as string
const facts = async (id: string) => textMapOf(await lane.command('HGETALL', lane.keys.executions + id))

it('stores a script with an id of its own', async () => {
  const [one, two] = [await exec('1 + 1'), await exec('1 + 1', 'timeout', '5', 'UNBLOCKING')]
  expect(one).not.toBe(two)
  const fields = await facts(one)
  expect(Object.fromEntries(fields)).toMatchObject({ kind: 'script', group: 'remote', max: '1', timeout: '300000' })
  expect(fields.get('reply')).toBe(`${home()}:reply:${one}`)
  expect(Object.fromEntries(await facts(two))).toMatchObject({ timeout: '5' })
  expect((await facts(two)).has('reply')).toBe(false)
  const program = JSON.parse((await lane.command('GET', `${lane.keys.executions}${one}:p`)) as string)
  expect(program).toEqual({ script: '1 + 1', signature: '', reply: true })
  const [[, task] = []] = (await lane.command('XRANGE', `${home()}:t:remote`, '-', '+')) as [string, string[]][]
  expect(task?.slice(-2)).toEqual(['k', 'script'])
})

it('takes the same id for the same execution', async () => {
  expect(await exec('first', 'ID', 'mine')).toBe('mine')
  expect(await exec('second', 'ID', 'mine')).toBe('mine')
  expect(await lane.command('GET', `${lane.keys.executions}mine:p`)).toContain('first')
})

it('tells who waits why there is no answer', async () => {
  const id = await exec('1')
  await lane.call('abort', [lane.keys.executions + id, `${home()}:e:remote`], '{"code":"EXECUTION_ABORTED"}')
  expect(await lane.command('LRANGE', `${home()}:reply:${id}`, 0, -1)).toEqual([
    '{"error":{"code":"EXECUTION_ABORTED"}}',
  ])
  expect(await lane.command('PTTL', `${home()}:reply:${id}`)).toBeGreaterThan(0)
})

it('goes to a group whose workers run scripts, where that of gearmill worker does not', async () => {
  const beat = (group: string, allows: 0 | 1) => {
    const [live, tasks] = [`${home()}:live:${group}`, `${home()}:t:${group}`]
    return lane.call('beat', [live, tasks, lane.keys.groups], 'w', 1, 60_000, '{}', group, allows)
  }
  await beat('remote', 0)
  await beat('local-1', 1)
  expect(Object.fromEntries(await facts(await exec('1')))).toMatchObject({ group: 'local-1', lease: '60000' })
  expect(Object.fromEntries(await facts(await exec('1', 'SIGNATURE', 'ab')))).toMatchObject({ group: 'remote' })
  await beat('remote', 1)
  expect(Object.fromEntries(await facts(await exec('1')))).toMatchObject({ group: 'remote', lease: '0' })
  for (const group of ['remote', 'local-1']) {
    await lane.call('leave', [`${home()}:live:${group}`, `${home()}:t:${group}`, lane.keys.groups], 'w', group)
  }
  expect(await lane.command('EXISTS', lane.keys.groups, `${lane.keys.groups}:scripts`)).toBe(0)
})

it.each([[[]], [['']], [['1', 'ID', 'a b']], [['1', 'ID', 'x-gm1']], [['1', 'TIMEOUT', 'x']], [['1', 'WHAT']]])(
  'refuses %j',
  async (args) => {
    await expect(exec(...args)).rejects.toThrow('PLAN_OPTION')
  },
)

it.each([[[]], [['gm']], [['gm:{gm1}']]])('refuses the keys %j, as do the other calls for any client', async (keys) => {
  for (const [name, refusal] of [
    ['exec', /PLAN_OPTION/],
    ['call', /TRIGGER_CALL/],
  ] as const) {
    // prettier-ignore
    const called = lane.command('FCALL', `gm_${name}`, keys.length, ...keys, '1')
    await expect(called).rejects.toThrow(refusal)
    await expect(called).rejects.toThrow(`got '${keys[0] ?? ''}'`)
  }
  if (keys[0] === 'gm:{gm1}') return
  await expect(lane.command('FCALL', 'gm_start', keys.length, ...keys, '1')).rejects.toThrow('names no lane')
})
