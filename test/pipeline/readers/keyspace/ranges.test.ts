// One server's keyspace in ranges, read while keys come and go and the table is resized.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectDeployment } from '../../../../src/redis/connect.ts'
import type { Deployment } from '../../../../src/redis/deployment.ts'
import { textOf } from '../../../../src/redis/replies.ts'
import { startServer, type PrivateServer } from '../../../../src/server/standalone.ts'
import { until } from '../../../fixtures/servers.ts'
import { flood, readPart, splitsOf } from './part.ts'

const stable = 60_000

describe('a keyspace in ranges', () => {
  let server: PrivateServer
  let deployment: Deployment
  beforeAll(async () => {
    server = await startServer({ config: { 'enable-debug-command': 'yes' } })
    deployment = await connectDeployment(server.url)
  })
  afterAll(async () => {
    await deployment?.close()
    await server?.stop()
  })
  beforeEach(async () => {
    await deployment.command('', ['FLUSHALL'])
    await flood(server, stable, (i) => ['SET', `stable:${i}`, `value ${i}`])
  })

  const buckets = async (): Promise<number> => {
    const stats = textOf(await deployment.command('', ['DEBUG', 'HTSTATS', '0']))
    const sizes = [...(stats.split('[Expires')[0] ?? '').matchAll(/table size: (\d+)/g)]
    return Math.max(...sizes.map(([, size]) => Number(size)))
  }
  const missing = (found: ReadonlySet<unknown>): string[] =>
    Array.from({ length: stable }, (_, i) => `stable:${i}`).filter((key) => !found.has(key))

  it('is each key once where the table keeps its size, in any order of the parts', { timeout: 180_000 }, async () => {
    await flood(server, 200_000, (i) => ['SET', `other:${i}`, ''])
    const { count, data } = await splitsOf(deployment)
    expect(count).toBe(4)
    const records: unknown[] = []
    for (const index of [2, 0, 3, 1]) {
      let sequence = 0
      const part = await readPart(deployment, data, index, {}, async () => {
        // Others come and go, at about the same number.
        await flood(server, 200, (i) => ['SET', `new:${index}:${sequence}:${i}`, ''])
        await flood(server, 200, (i) => ['DEL', `new:${index}:${sequence++}:${i}`])
      })
      records.push(...part.records)
    }
    const kept = records.filter((key) => !String(key).startsWith('new:'))
    expect(kept.length).toBe(stable + 200_000)
    expect(new Set(kept).size).toBe(stable + 200_000)
  })

  it('loses no key that stays while the table grows', { timeout: 180_000 }, async () => {
    await flood(server, 100_000, (i) => ['SET', `other:${i}`, ''])
    const { count, data } = await splitsOf(deployment)
    expect(count).toBe(4)
    const before = await buckets()
    let grown = 0
    const found = new Set<unknown>()
    for (let index = 0; index < count; index++) {
      const part = await readPart(deployment, data, index, {}, async () => {
        if (grown < 600_000) {
          await flood(server, 20_000, (i) => ['SET', `grown:${grown + i}`, ''])
          grown += 20_000
        }
      })
      for (const key of part.records) found.add(key)
    }
    expect(await buckets()).toBeGreaterThan(before)
    expect(missing(found)).toEqual([])
  })

  it(
    'loses no key that stays while the table shrinks, to fewer buckets than ranges too',
    { timeout: 180_000 },
    async () => {
      for (const left of [stable, 2]) {
        await flood(server, 900_000, (i) => ['SET', `other:${i}`, ''])
        const { count, data } = await splitsOf(deployment)
        expect(count).toBe(16)
        const before = await buckets()
        const found = new Set<unknown>()
        let shrunk = false
        for (let index = 0; index < count; index++) {
          const part = await readPart(deployment, data, index, {}, async (batches) => {
            if (index !== 7 || batches !== 10 || shrunk) return
            await flood(server, 900_000, (i) => ['DEL', `other:${i}`])
            if (left < stable) await flood(server, stable - left, (i) => ['DEL', `stable:${left + i}`])
            await until(async () => (await buckets()) < before)
            shrunk = true
          })
          for (const key of part.records) found.add(key)
        }
        expect(shrunk).toBe(true)
        expect(missing(found).filter((key) => Number(key.slice(7)) < left)).toEqual([])
      }
    },
  )

  it('is not read in ranges of one process and of another', async () => {
    await flood(server, 100_000, (i) => ['SET', `other:${i}`, ''])
    const { data } = await splitsOf(deployment)
    await readPart(deployment, data, 0)
    await server.restart()
    await expect(readPart(deployment, data, 1)).rejects.toMatchObject({ code: 'EXECUTION_TOPOLOGY' })
  })
})
