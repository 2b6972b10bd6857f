import { randomBytes } from 'node:crypto'
import { createServer, type AddressInfo, type Socket } from 'node:net'
import { expect, onTestFinished, test, vi } from 'vitest'
import { Client, send, type ClientSettings } from '../../src/redis/client.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import { standalone, until } from '../fixtures/servers.ts'
import { clientSettings } from '../fixtures/client-settings.ts'

const settings: ClientSettings = { ...clientSettings, socketTimeoutMs: 3000 }

test('large values keep their bytes, and their place among other commands', async () => {
  const { url } = await standalone()
  const deployment = await connectDeployment(url)
  onTestFinished(() => deployment.close())
  const bytes = randomBytes(9 << 20)
  const text = 'größe '.repeat(1 << 20)
  const replies = [
    deployment.command('k', ['SET', 'k', 'before']),
    deployment.command('k', ['SET', 'k', bytes]),
    deployment.command('k', ['GET', 'k'], { binary: true }),
    deployment.command('t', ['MSET', 't', text, 'k', bytes, 'u', '']),
    deployment.command('t', ['GET', 't']),
    deployment.command('u', ['GETSET', 'u', 'after']),
  ]
  await until(() => true)
  replies.push(deployment.command('k', ['APPEND', 'k', '!']), deployment.command('k', ['GETSET', 'k', text]))
  const [first, second, read, third, readText, empty, appended] = await Promise.all(replies)
  expect([first, second, third, empty, appended]).toEqual(['OK', 'OK', 'OK', '', bytes.length + 1])
  expect(bytes.equals(read as Buffer)).toBe(true)
  expect(readText === text).toBe(true)
  expect((await deployment.command('k', ['GET', 'k'])) === text).toBe(true)
  await deployment.command('k', ['DEL', 'k', 't', 'u'])
})

test('a server that takes a large value slowly is alive, until it takes no more', async () => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] })
  onTestFinished(() => void vi.useRealTimers())
  let received = 0
  let peer: Socket | undefined
  const server = createServer((socket) => {
    peer = socket
    socket.on('error', () => {})
    socket.on('data', (chunk: Buffer) => {
      if (received === 0) socket.write('%1\r\n+proto\r\n:3\r\n')
      received += chunk.length
    })
  })
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const client = new Client({ host: '127.0.0.1', port: (server.address() as AddressInfo).port }, settings)
  onTestFinished(() => client.destroy())
  await client.connect()
  const failure = send(client, ['SET', 'k', Buffer.alloc(128 << 20)]).catch((error: unknown) => error)
  for (let round = 0; round < 3; round++) {
    vi.advanceTimersByTime(3000)
    expect(client.isReady).toBe(true)
    // More than what lies between the two.
    const enough = received + (32 << 20)
    peer?.resume()
    await until(() => received > enough)
    peer?.pause()
  }
  vi.advanceTimersByTime(1000)
  expect(client.isReady).toBe(true)
  // What lies between the two fills up; nobody takes it.
  await until(() => {
    vi.advanceTimersByTime(1000)
    return !client.isReady
  })
  expect(await failure).toMatchObject({ message: 'the server said nothing for 3000 ms' })
})
