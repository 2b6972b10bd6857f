// A server that restarts between two parts of its keyspace: all parts are read anew, or the read fails.
import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type PrivateServer, startServer } from '../../../../src/server/standalone.ts'
import { until } from '../../../fixtures/servers.ts'
import { type RealEngine, realEngine } from '../../real-engine.ts'
import { flood } from './part.ts'

const keys = 70_000

describe('a divided keyspace whose server restarts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gearmill-restart-'))
  let server: PrivateServer
  let engine: RealEngine
  beforeAll(async () => {
    server = await startServer({ persistence: 'aof', config: { appendfsync: 'always' } })
    await flood(server, keys, (i) => ['SET', `key:${i}`, `value ${i % 7}`])
    engine = await realEngine(server.url, 1)
  })
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]()
    await server?.stop()
    rmSync(folder, { recursive: true })
  })

  /** All keys, with a stop in the middle of the second part: `stopped` is there then, and it goes on when `gate` is. */
  function counted(name: string) {
    const [stopped, gate] = [join(folder, `${name}.stopped`), join(folder, `${name}.gate`)]
    let seen = 0
    const input = engine.read.keys('key:*', { type: 'string' }).forEach(async () => {
      // The executor lives on, and counts on, while the parts are read: more than one part has.
      if (++seen !== 45_000) return
      writeFileSync(stopped, '')
      while (!existsSync(gate)) await new Promise((resolve) => setTimeout(resolve, 10))
    })
    const restart = async (): Promise<void> => {
      await until(() => existsSync(stopped))
      await server.restart()
      writeFileSync(gate, '')
    }
    return { input, restart }
  }

  it('is read anew', { timeout: 120_000 }, async () => {
    const { input, restart } = counted('anew')
    const execution = await input.countBy(({ value }) => value).start()
    await restart()
    const counts = await execution.result()
    expect(counts.map(({ value }) => value)).toEqual(Array.from({ length: 7 }, () => keys / 7))
    const { stages } = await execution.profile()
    expect([stages[0]?.done, stages[0]?.in]).toEqual([2, keys])
  })

  it('is not, once effects were applied', { timeout: 120_000 }, async () => {
    const { input, restart } = counted('effects')
    const execution = await input.write(({ value }) => ['HINCRBY', 'written', value, 1]).start()
    await restart()
    await expect(execution.result()).rejects.toMatchObject({ code: 'EXECUTION_TOPOLOGY' })
  })
})
