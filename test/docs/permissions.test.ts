// The rule in docs/operations.md is enough to work with, and no more than it says.
import { readFile } from 'node:fs/promises'
import { expect, test } from 'vitest'
import { connect } from '../../src/mill.ts'
import { startServer } from '../../src/server/standalone.ts'
import { raw } from '../fixtures/servers.ts'

test('a user with the documented permissions runs pipelines', async () => {
  const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const rule = /```text\n(ACL SETUSER[\s\S]*?)```/.exec(page)?.[1]?.trim().split(/\s+/) ?? []
  expect(rule.slice(0, 3)).toEqual(['ACL', 'SETUSER', 'gearmill'])
  await using server = await startServer()
  await raw(server, ...rule)

  const url = server.url.replace('redis://', 'redis://gearmill:a-long-password@')
  await using mill = await connect(url, { executors: 1 })
  await mill.redis.hSet('app:1', { n: '1' })
  await mill.redis.set('app:2', 'two')
  expect(await mill.from(['a', 'b', 'a']).countBy().toSortedSet('app:counts').run()).toEqual({ written: 2 })
  expect(await mill.keys('app:*').count().run()).toEqual([3])
  const many = Array.from({ length: 1000 }, (_, i) => `app:n:${i}`)
  expect(
    await mill
      .from(many)
      .write((key) => [
        ['SET', key, '1'],
        ['EXPIRE', key, 60],
      ])
      .run(),
  ).toEqual({ written: 2000 })
  expect(await (await mill.submit(() => mill.redis.get('app:2'))).result()).toBe('two')
  expect(await mill.executions.list()).toHaveLength(4)
  expect(await (await mill.realm('apart').submit(() => 1)).result()).toBe(1)
  expect(await mill.exec("keys('app:2').count()")).toEqual([1])
  const matrix = await (await mill.matrix.from([[1, 2]])).save('app')
  await matrix.set(0, 0, 3)
  expect(await matrix.matmul(matrix.T).sum()).toBe(13)
  expect(await mill.matrix.list()).toHaveLength(1)
  await matrix.delete()
  const { errors } = await mill
    .from(['elsewhere'])
    .write((key) => ['SET', key, '1'])
    .run({ onError: 'skip' })
  expect(errors).toMatchObject([{ code: 'EXECUTION_EFFECT', record: [['SET', 'elsewhere', '1']] }])
  expect(await raw(server, 'EXISTS', 'elsewhere')).toBe(0)
  await expect(mill.redis.sendCommand(['CONFIG', 'GET', 'save'])).rejects.toMatchObject({ code: 'CONNECT_PERMISSION' })
})
