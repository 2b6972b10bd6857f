// Slots that move from one primary to another while a keyspace is read.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { GearmillError } from '../../../../src/errors.ts'
import { connectDeployment } from '../../../../src/redis/connect.ts'
import type { Deployment } from '../../../../src/redis/deployment.ts'
import { slotTag } from '../../../../src/redis/slots.ts'
import { startCluster, type PrivateCluster } from '../../../../src/server/cluster.ts'
import type { PrivateServer } from '../../../../src/server/standalone.ts'
import { raw, until } from '../../../fixtures/servers.ts'
import { realEngine } from '../../real-engine.ts'
import { flood, readPart, splitsOf } from './part.ts'

const slots = [10, 11, 12, 13, 14, 15]
const keysOfSlot = 500

const sorted = (keys: readonly unknown[]): string[] => keys.map(String).sort()

describe('a live migration of slots', () => {
  let cluster: PrivateCluster
  let deployment: Deployment
  const ids = new Map<PrivateServer, string>()
  const node = (index: number): PrivateServer => cluster.nodes[index] as PrivateServer
  beforeAll(async () => {
    cluster = await startCluster({ shards: 3 })
    deployment = await connectDeployment(cluster.url)
    for (const server of cluster.nodes) ids.set(server, String(await raw(server, 'CLUSTER', 'MYID')))
    for (const slot of slots) {
      await flood(node(0), keysOfSlot, (i) => ['SET', `{${slotTag(slot)}}:${i}`, `value ${i % 10}`])
    }
  })
  afterAll(async () => {
    await deployment?.close()
    await cluster?.stop()
  })

  const expected = slots.flatMap((slot) => Array.from({ length: keysOfSlot }, (_, i) => `{${slotTag(slot)}}:${i}`))

  async function begin(slot: number, from: PrivateServer, to: PrivateServer): Promise<void> {
    await raw(to, 'CLUSTER', 'SETSLOT', slot, 'IMPORTING', String(ids.get(from)))
    await raw(from, 'CLUSTER', 'SETSLOT', slot, 'MIGRATING', String(ids.get(to)))
  }
  async function moveKeys(slot: number, from: PrivateServer, to: PrivateServer, most = Infinity): Promise<void> {
    for (let moved = 0; moved < most; moved += 100) {
      const keys = (await raw(from, 'CLUSTER', 'GETKEYSINSLOT', slot, 100)) as string[]
      if (keys.length === 0) return
      await raw(from, 'MIGRATE', '127.0.0.1', to.port, '', 0, 5000, 'KEYS', ...keys)
    }
  }
  async function end(slot: number, to: PrivateServer): Promise<void> {
    await raw(to, 'CLUSTER', 'SETSLOT', slot, 'NODE', String(ids.get(to)))
    for (const server of cluster.nodes) await raw(server, 'CLUSTER', 'SETSLOT', slot, 'NODE', String(ids.get(to)))
  }
  async function move(slot: number, from: PrivateServer, to: PrivateServer): Promise<void> {
    await begin(slot, from, to)
    await moveKeys(slot, from, to)
    await end(slot, to)
  }
  const outcome = async (reading: Promise<{ records: unknown[] }>): Promise<unknown> => {
    try {
      return (await reading).records
    } catch (error) {
      if (error instanceof GearmillError && ['EXECUTION_TOPOLOGY', 'CONNECT_LOST'].includes(error.code))
        return error.code
      throw error
    }
  }

  it('between two parts changes nothing', async () => {
    const { count, data } = await splitsOf(deployment)
    expect(count).toBe(3)
    for (const [first, second] of [
      [0, 1],
      [1, 0],
    ] as const) {
      const [from, to] = first === 0 ? [node(0), node(1)] : [node(1), node(0)]
      const records = [...(await readPart(deployment, data, first)).records]
      await move(slots[0] as number, from, to)
      records.push(...(await readPart(deployment, data, second)).records)
      records.push(...(await readPart(deployment, data, 2)).records)
      expect(sorted(records)).toEqual(sorted(expected))
    }
  })

  it('within a part is found, and the part read again is right', async () => {
    const { data } = await splitsOf(deployment)
    const slot = slots[1] as number
    const reading = readPart(deployment, data, 0, { values: true }, async (batches) => {
      if (batches === 1) await move(slot, node(0), node(1))
    })
    expect(await outcome(reading)).toBe('CONNECT_LOST')
    const again = await readPart(deployment, data, 0)
    expect(sorted(again.records)).toEqual(sorted(expected))
    await move(slot, node(1), node(0))
  })

  it('that has begun is waited for', async () => {
    const { data } = await splitsOf(deployment)
    const slot = slots[2] as number
    await begin(slot, node(0), node(1))
    await moveKeys(slot, node(0), node(1), 200)
    const reading = readPart(deployment, data, 0)
    await moveKeys(slot, node(0), node(1))
    await end(slot, node(1))
    expect(sorted((await reading).records)).toEqual(sorted(expected))
    await move(slot, node(1), node(0))
  })

  it('fails the read of a table in ranges, from where it cannot go on', async () => {
    await flood(node(0), 70_000, (i) => ['SET', `{${slotTag(20)}}:${i}`, ''])
    const { count, data } = await splitsOf(deployment)
    expect(count).toBe(4)
    const first = await readPart(deployment, data, 0)
    expect(first.records.length).toBeGreaterThan(0)
    await move(slots[3] as number, node(0), node(1))
    await until(async () => {
      const { shards } = await deployment.refresh()
      return !shards.some(({ slots: [range] }) => range?.[0] === 0 && range[1] >= 5460)
    })
    expect(await outcome(readPart(deployment, data, 1))).toBe('EXECUTION_TOPOLOGY')
    expect((await readPart(deployment, data, 2)).records).toEqual([])
    await move(slots[3] as number, node(1), node(0))
    for (let i = 0; i < 70_000; i += 1000) {
      await raw(node(0), 'UNLINK', ...Array.from({ length: 1000 }, (_, n) => `{${slotTag(20)}}:${i + n}`))
    }
  })

  it('never gives a wrong result of a pipeline', { timeout: 120_000 }, async () => {
    const engine = await realEngine(cluster.url, 2)
    try {
      const right = Array.from({ length: 10 }, (_, i) => ({ key: `value ${i}`, value: expected.length / 10 }))
      let moving = true
      const migrate = async (): Promise<void> => {
        for (let round = 0; round < 2; round++) {
          for (const slot of slots.slice(0, 3)) await move(slot, node(round % 2), node((round + 1) % 2))
        }
      }
      const migrating = migrate().finally(() => {
        moving = false
      })
      let runs = 0
      let rights = 0
      while (moving || rights === 0) {
        runs++
        const counts = await engine.read
          .keys('{*', { type: 'string' })
          .countBy(({ value }) => value)
          .sortBy(({ key }) => key)
          .run()
          .catch((error: unknown) => {
            if (error instanceof GearmillError && error.code === 'EXECUTION_TOPOLOGY') return undefined
            throw error
          })
        if (counts === undefined) continue
        rights++
        expect(counts).toEqual(right)
      }
      expect(runs).toBeGreaterThan(0)
      await migrating
    } finally {
      await engine[Symbol.asyncDispose]()
    }
  })
})
