import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import assert from 'node:assert/strict'
import { expect, onTestFinished, test } from 'vitest'
import { startCluster, type PrivateCluster } from '../../src/server/cluster.ts'
import { startServer } from '../../src/server/standalone.ts'
import { raw } from '../fixtures/servers.ts'

async function nodeIds(cluster: PrivateCluster) {
  return Promise.all(cluster.nodes.map((node) => raw(node, 'CLUSTER', 'MYID')))
}

test('three primaries own all slots between them, and nothing is left after stop()', async () => {
  const cluster = await startCluster({ shards: 3 })
  for (const node of cluster.nodes) {
    const info = String(await raw(node, 'CLUSTER', 'INFO'))
    expect(info).toContain('cluster_state:ok')
    expect(info).toContain('cluster_slots_assigned:16384')
    expect(info).toContain('cluster_size:3')
  }
  await cluster.stop()
  expect(existsSync(cluster.dir)).toBe(false)
  for (const node of cluster.nodes) expect(() => process.kill(node.pid, 0)).toThrow('ESRCH')
})

test('replicas follow their primaries, with a password', async () => {
  await using cluster = await startCluster({ shards: 1, replicas: 2, password: 'pw' })
  const [primary, ...replicas] = cluster.nodes
  assert(primary)
  expect(replicas).toHaveLength(2)
  expect(await raw(primary, 'SET', 'key', 'value')).toBe('OK')
  expect(await raw(primary, 'WAIT', 2, 0)).toBe(2)
  for (const replica of replicas) expect(String(await raw(replica, 'ROLE'))).toMatch(/^slave,/)
})

test('a kept directory brings back the node ids, the slots and the data, on other ports if need be', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'gearmill-kept-'))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const first = await startCluster({ shards: 3, dir, persistence: 'both' })
  const ids = await nodeIds(first)
  const owners = await Promise.all(first.nodes.map((node) => raw(node, 'SET', 'key', 'value').catch(() => 'moved')))
  expect(owners.filter((reply) => reply === 'OK')).toHaveLength(1)
  const owner = owners.indexOf('OK')
  const ports = first.nodes.map((node) => node.port)
  await first.stop()

  const second = await startCluster({ shards: 3, dir, persistence: 'both' })
  expect(second.nodes.map((node) => node.port)).toEqual(ports)
  expect(await nodeIds(second)).toEqual(ids)
  await second.stop()

  const blocker = createServer()
  await new Promise<void>((resolve) => blocker.listen(ports[0], '127.0.0.1', resolve))
  onTestFinished(() => void blocker.close())
  await using third = await startCluster({ shards: 3, dir, persistence: 'both' })
  expect(third.nodes.map((node) => node.port)).not.toContain(ports[0])
  expect(await nodeIds(third)).toEqual(ids)
  const node = third.nodes[owner]
  expect(node && (await raw(node, 'GET', 'key'))).toBe('value')

  await expect(startCluster({ shards: 2, dir })).rejects.toThrow('holds a cluster of 3 shards')
  await expect(startServer({ dir })).rejects.toThrow('holds the data of a cluster')
})

test('refuses numbers that make no cluster', async () => {
  await expect(startCluster({ shards: 0 })).rejects.toMatchObject({ code: 'SERVER_START' })
  await expect(startCluster({ shards: 1.5 })).rejects.toMatchObject({ code: 'SERVER_START' })
})
