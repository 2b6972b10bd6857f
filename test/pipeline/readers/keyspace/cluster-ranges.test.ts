// One primary of a cluster in ranges, read while keys come and go and its tables grow. Servers that keep a table for
// each slot are read slot after slot, all others by ranges of their one table: the promise is the same.
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { connectDeployment } from '../../../../src/redis/connect.ts'
import type { Deployment } from '../../../../src/redis/deployment.ts'
import { slotOf } from '../../../../src/redis/slots.ts'
import { type PrivateCluster, startCluster } from '../../../../src/server/cluster.ts'
import type { PrivateServer } from '../../../../src/server/standalone.ts'
import { raw } from '../../../fixtures/servers.ts'
import { flood, readPart, splitsOf } from './part.ts'

const stable = 40_000
// Of the first of three primaries.
const lastSlot = 5460

/** So many names whose slots are the first primary's. */
function namesOf(prefix: string, count: number, from = 0): { readonly names: string[]; readonly next: number } {
  const names: string[] = []
  let next = from
  while (names.length < count) {
    const name = `${prefix}:${next++}`
    if (slotOf(name) <= lastSlot) names.push(name)
  }
  return { names, next }
}

describe('a primary of a cluster in ranges', () => {
  let cluster: PrivateCluster
  let deployment: Deployment
  const node = (): PrivateServer => cluster.nodes[0] as PrivateServer
  const kept = namesOf('stable', stable).names
  const others = namesOf('other', 100_000).names
  beforeAll(async () => {
    cluster = await startCluster({ shards: 3 })
    deployment = await connectDeployment(cluster.url)
  })
  afterAll(async () => {
    await deployment?.close()
    await cluster?.stop()
  })
  beforeEach(async () => {
    await raw(node(), 'FLUSHALL')
    await flood(node(), stable, (i) => ['SET', kept[i] as string, ''])
    await flood(node(), others.length, (i) => ['SET', others[i] as string, ''])
  })

  it('is each key once where tables keep their size, in any order of the parts', { timeout: 120_000 }, async () => {
    const { count, data } = await splitsOf(deployment)
    // Four of the first primary, one of each of the others.
    expect(count).toBe(6)
    const records: unknown[] = []
    let next = 0
    for (const index of [2, 5, 0, 3, 1, 4]) {
      const part = await readPart(deployment, data, index, {}, async () => {
        const { names, next: after } = namesOf('new', 100, next)
        next = after
        await flood(node(), names.length, (i) => ['SET', names[i] as string, ''])
        await flood(node(), names.length, (i) => ['DEL', names[i] as string])
      })
      records.push(...part.records)
    }
    const found = records.map(String).filter((key) => !key.startsWith('new:'))
    expect(found.length).toBe(stable + others.length)
    expect(new Set(found)).toEqual(new Set([...kept, ...others]))
  })

  it('loses no key that stays while others come and go and tables grow', { timeout: 180_000 }, async () => {
    const { count, data } = await splitsOf(deployment)
    const found = new Set<unknown>()
    let next = 0
    let gone = 0
    for (let index = 0; index < count; index++) {
      const part = await readPart(deployment, data, index, {}, async () => {
        if (next < 500_000) {
          // A table of 2^18 keys is too small for them.
          const { names, next: after } = namesOf('grown', 10_000, next)
          next = after
          await flood(node(), names.length, (i) => ['SET', names[i] as string, ''])
        } else if (gone < others.length) {
          await flood(node(), 10_000, (i) => ['DEL', others[gone + i] as string])
          gone += 10_000
        }
      })
      for (const key of part.records) found.add(key)
    }
    expect(kept.filter((key) => !found.has(key))).toEqual([])
  })
})
