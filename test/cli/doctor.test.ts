// The doctor finds what is set wrongly on a real server, and says what to do.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { z } from 'zod'
import { connectDeployment } from '../../src/redis/connect.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { startCluster } from '../../src/server/cluster.ts'
import { gearmill } from './command-line.ts'

const finding = z.object({
  check: z.string(),
  state: z.enum(['ok', 'warn', 'fail']),
  found: z.string(),
  advice: z.string().optional(),
  shard: z.string().optional(),
})
const report = z.object({ ok: z.boolean(), findings: z.array(finding) })

async function examine(url: string, ...args: string[]) {
  const { code, stdout } = await gearmill(['doctor', '--url', url, '--json', ...args])
  const { ok, findings } = report.parse(JSON.parse(stdout))
  const of = (check: string) => findings.find((found) => found.check === check)
  return { code, ok, findings, of }
}

let server: PrivateServer
beforeAll(async () => {
  server = await startServer({ config: { 'repl-backlog-size': '1mb' } })
})
afterAll(() => server.stop())

async function set(settings: Record<string, string>): Promise<void> {
  const deployment = await connectDeployment(server.url)
  try {
    await deployment.command('', ['CONFIG', 'SET', ...Object.entries(settings).flat()])
  } finally {
    await deployment.close()
  }
}

describe('gearmill doctor', () => {
  it('shows what multiplies matrices, and what was asked for and is not there', async () => {
    const told = async (GEARMILL_BLAS: string) => {
      const env = { PATH: process.env.PATH, GEARMILL_BLAS }
      const { stdout } = await gearmill(['doctor', '--url', server.url, '--json'], { env })
      return report.parse(JSON.parse(stdout)).findings.find(({ check }) => check === 'matrices')
    }
    expect(await told('wasm')).toMatchObject({ state: 'ok', found: expect.stringMatching(/^WebAssembly SIMD/) })
    expect(await told('')).toMatchObject({
      state: 'ok',
      found: expect.stringMatching(/^(WebAssembly SIMD|OpenBLAS [\d.]+, \w+ kernels)/),
    })
    expect(await told('/nowhere.so')).toMatchObject({ state: 'fail', found: expect.stringContaining('/nowhere.so') })
  })

  it('looks at everything, and is content with a server without a memory limit', async () => {
    const { code, ok, findings, of } = await examine(server.url)
    expect({ code, ok }).toEqual({ code: 0, ok: true })
    expect(findings.map(({ check }) => check)).toEqual([
      'node',
      'server program',
      'matrices',
      'onnxruntime',
      'url',
      'namespace',
      'executors',
      'server',
      'latency',
      'memory',
      'maxmemory-policy',
      'persistence',
      'repl-backlog-size',
      'notify-keyspace-events',
      'permissions',
      'workers',
    ])
    expect(of('server')?.found).toMatch(/^(redis|valkey) \d+\.\d+\.\d+, standalone/)
    expect(of('repl-backlog-size')).toMatchObject({ state: 'warn', found: '1.0 MiB' })
    expect(of('workers')).toMatchObject({ state: 'warn', advice: expect.stringContaining('gearmill worker') })
  })

  it('fails where the server may throw away the state of executions', async () => {
    await set({ maxmemory: '100mb', 'maxmemory-policy': 'allkeys-lru' })
    const evicting = await examine(server.url)
    expect({ code: evicting.code, ok: evicting.ok }).toEqual({ code: 1, ok: false })
    expect(evicting.of('maxmemory-policy')).toMatchObject({ state: 'fail', found: 'allkeys-lru' })
    await set({ 'maxmemory-policy': 'volatile-ttl' })
    expect((await examine(server.url)).of('maxmemory-policy')).toMatchObject({ state: 'warn' })
    await set({ 'maxmemory-policy': 'noeviction', 'repl-backlog-size': '64mb', appendonly: 'yes' })
    const mended = await examine(server.url)
    expect(mended.of('maxmemory-policy')).toMatchObject({ state: 'ok' })
    expect(mended.of('repl-backlog-size')).toMatchObject({ state: 'ok', found: '64.0 MiB' })
    expect(mended.of('persistence')).toMatchObject({ state: 'ok', found: 'append-only file' })
  })

  it('prints a line each, and what to do below', async () => {
    const { code, stdout, stderr } = await gearmill(['doctor', '--url', server.url, '--group', 'nobody'])
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
    expect(stdout).toMatch(/^ok {4}node +v\d+/m)
    expect(stdout).toMatch(/^warn {2}workers +none of the group 'nobody' is alive\n {6}`gearmill worker`/m)
  })

  it('names the commands that the ACL refuses', async () => {
    const deployment = await connectDeployment(server.url)
    const rules = ['on', '>pw', '~*', '&*', '+@all', '-xclaim', '-psync', '-config']
    await deployment.command('', ['ACL', 'SETUSER', 'limited', ...rules])
    await deployment.close()
    const { code, of } = await examine(server.url.replace('redis://', 'redis://limited:pw@'))
    expect(code).toBe(1)
    expect(of('permissions')).toMatchObject({ state: 'fail', found: 'limited may not: XCLAIM' })
    expect(of('permissions')?.advice).toContain('+xclaim')
    expect(of('replication')).toMatchObject({ state: 'warn' })
    expect(of('settings')).toMatchObject({ state: 'warn', found: 'CONFIG GET is not allowed' })
  })

  it('counts the live workers of a group', async () => {
    const deployment = await connectDeployment(server.url)
    const live = 'gm:{gm0}:live:busy'
    await deployment.command(live, ['ZADD', live, Date.now() + 3_600_000, 'w1', Date.now() - 1, 'dead'])
    await deployment.command(live, ['HSET', `${live}:n`, 'w1', 3, 'dead', 5])
    await deployment.close()
    expect((await examine(server.url, '--group', 'busy')).of('workers')).toMatchObject({
      state: 'ok',
      found: "1 of the group 'busy' with 3 executors; models run on none of them",
    })
  })

  it('fails where no server answers, and hides the password', async () => {
    const { code, of } = await examine('redis://u:geheim@127.0.0.1:1')
    expect(code).toBe(1)
    expect(of('server')).toMatchObject({ state: 'fail', found: expect.stringMatching(/^CONNECT_REFUSED: /) })
    expect(of('url')?.found).toContain('u:***@127.0.0.1:1')
  })

  it('looks at every shard of a cluster', async () => {
    await using cluster = await startCluster({ shards: 3 })
    const { findings, of } = await examine(cluster.url)
    expect(of('server')?.found).toContain('cluster with 3 shards')
    const shards = findings.filter(({ check }) => check === 'latency').map(({ shard }) => shard)
    expect(new Set(shards).size).toBe(3)
    expect(of('workers')).toMatchObject({ state: 'warn' })
  })
})
