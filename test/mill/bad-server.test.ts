// Servers that are not there, refuse, are full, go away for good or come back empty.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { createServer, type AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { silent } from '../../src/engine/logger.ts'
import { connect, type Mill, type MillOptions } from '../../src/index.ts'
import type { Execution } from '../../src/pipeline/execution.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { raw, until } from '../fixtures/servers.ts'
import { expectFailure, expectNothingLeft, expectRefusal } from './bad-input.ts'

const leaseMs = 5000
const open = (server: PrivateServer, options: MillOptions = {}): Promise<Mill> =>
  connect({ url: server.url, executors: 1, leaseMs, logger: silent, ...options })

/** Six tasks; all but the first wait until `release` is called. */
async function six(mill: Mill, timeoutMs = 60_000): Promise<{ execution: Execution<number>; release: () => void }> {
  const folder = mkdtempSync(join(tmpdir(), 'gearmill-hold-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const hold = join(folder, 'hold')
  writeFileSync(hold, '')
  const execution = await mill
    .from([1, 2, 3, 4, 5, 6], { partitions: 6 })
    .with({ hold })
    .map(async (n, values) => {
      const { existsSync } = await import('node:fs')
      while (n > 1 && existsSync(values.hold)) await new Promise((resolve) => setTimeout(resolve, 10))
      return n
    })
    .start({ timeoutMs })
  return { execution, release: () => rmSync(hold) }
}

const committed = async (execution: Execution<unknown>): Promise<number> =>
  (await execution.status()).stages.reduce((sum, { done }) => sum + done, 0)

describe('connect()', () => {
  it('where nothing listens', async () => {
    const error = await expectRefusal(connect('redis://127.0.0.1:1'), 'CONNECT_REFUSED')
    expect(error.message).toContain('127.0.0.1:1')
    expect(error.hint).toContain('gearmill doctor')
    expect(error.retryable).toBe(true)
  })

  it('with a wrong password, or none', async () => {
    await using server = await startServer({ password: 'right' })
    for (const url of [server.url.replace('right', 'wrong'), `redis://127.0.0.1:${server.port}`]) {
      const error = await expectRefusal(connect(url), 'CONNECT_AUTH')
      expect(error.message).toContain(String(server.port))
      expect(error.message).not.toContain('wrong')
    }
  })

  it('to a server that is too old', async () => {
    // What an old server says of itself, over the protocol of today.
    const info = '# Server\r\nredis_version:6.2.14\r\nredis_mode:standalone\r\n'
    const old = createServer((socket) => {
      socket.on('error', () => undefined)
      socket.on('data', (bytes) => {
        const commands = bytes.toString().split(/(?=\*\d+\r\n\$)/)
        for (const command of commands) {
          if (/INFO/i.test(command)) socket.write(`$${info.length}\r\n${info}\r\n`)
          else socket.write(/HELLO/i.test(command) ? '%1\r\n$5\r\nproto\r\n:3\r\n' : '+OK\r\n')
        }
      })
    })
    await new Promise<void>((resolve) => old.listen(0, '127.0.0.1', resolve))
    const { port } = old.address() as AddressInfo
    const error = await expectRefusal(connect(`redis://127.0.0.1:${port}`), 'CONNECT_VERSION')
    expect(error.message).toContain('6.2.14')
    old.close()
  })

  it.each(['function|load', 'fcall', 'xreadgroup', 'xread', 'info'])('as a user without %s', async (command) => {
    await using server = await startServer()
    await raw(server, 'ACL', 'SETUSER', 'bob', 'on', '>pw', '~*', '&*', '+@all', `-${command}`)
    const url = `redis://bob:pw@127.0.0.1:${server.port}`
    const error = await expectRefusal(
      connect({ url, executors: 1, leaseMs: 1000, logger: silent }),
      'CONNECT_PERMISSION',
    )
    expect(error.message).toContain(`'${command}'`)
    // Nothing is left open: the server sees nobody but us.
    await until(async () => !String(await raw(server, 'CLIENT', 'LIST')).includes('name=gearmill'))
  })

  it('as a user without a command that only functions of the server run, or without its keys', async () => {
    await using server = await startServer()
    await raw(server, 'ACL', 'SETUSER', 'bob', 'on', '>pw', '~*', '&*', '+@all', '-hset')
    await raw(server, 'ACL', 'SETUSER', 'eve', 'on', '>pw', '~other:*', '&*', '+@all')
    for (const user of ['bob', 'eve']) {
      const url = `redis://${user}:pw@127.0.0.1:${server.port}`
      await expectRefusal(connect({ url, executors: 1, leaseMs: 1000, logger: silent }), 'CONNECT_PERMISSION')
    }
  })
})

describe('a server without room', () => {
  it('is refused at the start', async () => {
    await using server = await startServer({ config: { maxmemory: '1mb', 'maxmemory-policy': 'noeviction' } })
    const error = await expectRefusal(
      (async () => {
        await using mill = await open(server)
        return await mill.from([1]).run()
      })(),
      'CONNECT_OOM',
    )
    expect(error.hint).toContain('maxmemory')
    expect(error.retryable).toBe(true)
  })

  it('in the middle: work waits, at nobody’s expense, and goes on when there is room', async () => {
    await using server = await startServer({ config: { 'maxmemory-policy': 'noeviction' } })
    const mill = await open(server)
    const { execution, release } = await six(mill)
    await until(async () => (await committed(execution)) > 0)
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '1mb')
    release()
    const refused = async (): Promise<number> =>
      Number(/errorstat_OOM:count=(\d+)/.exec(String(await raw(server, 'INFO', 'errorstats')))?.[1] ?? 0)
    // Longer than a lease, within which the keys of local work would expire.
    const since = Date.now()
    await until(async () => (await refused()) > 6 && Date.now() - since > leaseMs)
    expect((await execution.status()).state).toBe('running')
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '0')
    expect(await execution.result()).toEqual([1, 2, 3, 4, 5, 6])
    expect((await execution.status()).retries).toBe(0)
    await mill.close()
    await expectNothingLeft([server], 'gm')
  })

  it('and a counter: what it could not be told, it is told later', async () => {
    await using server = await startServer({ config: { 'maxmemory-policy': 'noeviction' } })
    await using mill = await open(server)
    const seen = mill.counter('seen')
    seen.add(2)
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '1mb')
    await expectRefusal(seen.value(), 'CONNECT_OOM')
    seen.add(1)
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '0')
    expect(await seen.value()).toBe(3)
    expect(await seen.value()).toBe(3)
  })

  it('for good: the run ends when a task has waited as long as it may take', async () => {
    await using server = await startServer({ config: { 'maxmemory-policy': 'noeviction' } })
    const mill = await open(server)
    const { execution, release } = await six(mill, 3000)
    await until(async () => (await committed(execution)) > 0)
    await raw(server, 'CONFIG', 'SET', 'maxmemory', '1mb')
    release()
    const error = await expectFailure(execution.result(), 'CONNECT_OOM')
    expect(error.message).toContain('3000 ms')
    await mill.close()
    await expectNothingLeft([server], 'gm')
  })
})

describe('a server that goes away during a run', () => {
  it('and comes back empty: the execution is lost, and says so', async () => {
    const server = await startServer()
    const mill = await open(server)
    const { execution, release } = await six(mill)
    await until(async () => (await committed(execution)) > 0)
    await server.kill()
    await using empty = await startServer({ port: server.port })
    release()
    const error = await expectFailure(execution.result(), 'EXECUTION_LOST')
    expect(error.message).toContain(execution.id)
    // The mill serves on, on the new server.
    expect(await (await mill.submit(() => 7)).result()).toBe(7)
    await mill.close()
    await expectNothingLeft([empty], 'gm')
    await server.stop()
  })

  it('and loses all keys', async () => {
    await using server = await startServer()
    await using mill = await open(server)
    const { execution, release } = await six(mill)
    await until(async () => (await committed(execution)) > 0)
    await raw(server, 'FLUSHALL')
    release()
    await expectFailure(execution.result(), 'EXECUTION_LOST')
    expect(await (await mill.submit(() => 7)).result()).toBe(7)
  })

  it(
    'and never comes back: run() rejects in bounded time, and close() does not wait for it',
    { timeout: 150_000 },
    async () => {
      const server = await startServer()
      const mill = await open(server)
      const { execution, release } = await six(mill)
      await until(async () => (await committed(execution)) > 0)
      const pids = mill.executors.pids
      await server.stop()
      release()
      const error = await expectRefusal(execution.result(), 'CONNECT_LOST')
      expect(error.message).toContain(String(server.port))
      expect(error.retryable).toBe(true)
      await mill.close()
      for (const pid of pids) expect(() => process.kill(pid, 0)).toThrow('ESRCH')
    },
  )
})
