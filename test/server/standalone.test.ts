import { existsSync } from 'node:fs'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, onTestFinished, test, vi } from 'vitest'
import { startCluster } from '../../src/server/cluster.ts'
import { startServer } from '../../src/server/standalone.ts'
import { raw, until } from '../fixtures/servers.ts'

async function keptDirectory(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'gearmill test '))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  return dir
}

describe('startServer', () => {
  test('starts a server that answers, and leaves nothing after stop()', async () => {
    const server = await startServer()
    expect(await raw(server, 'PING')).toBe('PONG')
    expect(server.url).toBe(`redis://127.0.0.1:${server.port}`)
    expect(existsSync(server.dir)).toBe(true)
    await server.stop()
    expect(existsSync(server.dir)).toBe(false)
    expect(() => process.kill(server.pid, 0)).toThrow('ESRCH')
    // Once more is no error.
    await server.stop()
  })

  test('takes a password with any character, on a unix socket too', async () => {
    const password = 'p w"\\d#\'%?é'
    const overTcp = await startServer({ password })
    const overSocket = await startServer({ password, socket: true })
    onTestFinished(async () => {
      await Promise.all([overTcp.stop(), overSocket.stop()])
    })
    expect(await raw(overTcp, 'PING')).toBe('PONG')
    expect(await raw(overSocket, 'PING')).toBe('PONG')
    expect(overSocket.port).toBe(0)
    await expect(raw({ ...overTcp, port: overTcp.port, password: 'another' }, 'PING')).rejects.toThrow('WRONGPASS')
  })

  test('passes lines of configuration on', async () => {
    await using server = await startServer({
      config: { maxmemory: '123mb', save: '77 1', 'maxmemory-policy': 'noeviction' },
    })
    expect(await raw(server, 'CONFIG', 'GET', 'maxmemory')).toEqual(['maxmemory', String(123 * 1024 * 1024)])
    expect(await raw(server, 'CONFIG', 'GET', 'save')).toEqual(['save', '77 1'])
  })

  test.each(['rdb', 'aof', 'both'] as const)('keeps data in a kept directory: %s', async (persistence) => {
    const dir = await keptDirectory()
    const first = await startServer({ dir, persistence })
    await raw(first, 'SET', 'key', 'value')
    await first.stop()
    const second = await startServer({ dir, persistence })
    expect(await raw(second, 'GET', 'key')).toBe('value')
    await second.stop()
    expect(existsSync(dir)).toBe(true)
  })

  test('restarts on the same port with the data of its append-only file, after SIGKILL too', async () => {
    await using server = await startServer({ persistence: 'aof', config: { appendfsync: 'always' } })
    const { port, pid } = server
    await raw(server, 'SET', 'key', 'value')
    await server.kill()
    await server.restart()
    expect(server.port).toBe(port)
    expect(server.pid).not.toBe(pid)
    expect(await raw(server, 'GET', 'key')).toBe('value')
    await raw(server, 'SET', 'other', 'value')
    await server.restart()
    expect(await raw(server, 'DBSIZE')).toBe(2)
  })

  test('an unknown setting is an error with the end of the log', async () => {
    await expect(startServer({ config: { 'no-such-setting': '1' } })).rejects.toMatchObject({ code: 'SERVER_START' })
    await expect(startServer({ config: { maxmemory: 'much' } })).rejects.toThrow('did not start')
  })

  test('a port that is taken is an error that says so', async () => {
    const blocker = createServer()
    await new Promise<void>((resolve) => blocker.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => void blocker.close())
    const address = blocker.address()
    const port = typeof address === 'object' && address !== null ? address.port : 0
    await expect(startServer({ port })).rejects.toMatchObject({
      code: 'SERVER_START',
      message: expect.stringContaining('Address already in use'),
    })
  })

  test('a directory that cannot be made is an error', async () => {
    await expect(startServer({ dir: '/dev/null/data' })).rejects.toMatchObject({ code: 'SERVER_START' })
    vi.stubEnv('TMPDIR', '/dev/null')
    onTestFinished(() => void vi.unstubAllEnvs())
    await expect(startServer()).rejects.toMatchObject({ code: 'SERVER_START', hint: expect.stringContaining('TMPDIR') })
  })

  test('data of another kind of deployment are not left unseen', async () => {
    const dir = await keptDirectory()
    await writeFile(join(dir, 'cluster.json'), '{}')
    await expect(startServer({ dir })).rejects.toMatchObject({ code: 'SERVER_START' })
    await rm(join(dir, 'cluster.json'))
    await (await startServer({ dir, persistence: 'rdb' })).stop()
    const refusal = { code: 'SERVER_START', message: `${dir} holds the data of a single server` }
    await expect(startCluster({ dir, shards: 2 })).rejects.toMatchObject(refusal)
    await (await startServer({ dir, persistence: 'rdb' })).stop()
  })

  test('two servers on one directory are refused', async () => {
    const dir = await keptDirectory()
    const first = await startServer({ dir, persistence: 'aof' })
    onTestFinished(() => first.stop())
    await expect(startServer({ dir, persistence: 'aof' })).rejects.toThrow(`in use by the server with pid ${first.pid}`)
    expect(await raw(first, 'PING')).toBe('PONG')
  })

  test('an aborted start leaves no directory', async () => {
    const temporary = await mkdtemp(join(tmpdir(), 'gearmill-abort-'))
    vi.stubEnv('TMPDIR', temporary)
    onTestFinished(async () => {
      vi.unstubAllEnvs()
      await rm(temporary, { recursive: true, force: true })
    })
    const controller = new AbortController()
    const starting = startServer({ signal: controller.signal })
    controller.abort(new Error('changed my mind'))
    await expect(starting).rejects.toThrow('changed my mind')
    expect(await readdir(temporary)).toEqual([])
  })

  test('the password is not in the arguments of the process', async () => {
    await using server = await startServer({ password: 'hidden-word' })
    if (process.platform !== 'linux') return
    await until(() => existsSync(`/proc/${server.pid}/cmdline`))
    expect(await readFile(`/proc/${server.pid}/cmdline`, 'utf8')).not.toContain('hidden-word')
  })
})
