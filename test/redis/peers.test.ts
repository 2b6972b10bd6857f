// What is at the other end is no server as we know it, or one that refuses us.
import { createServer, type Socket } from 'node:net'
import { inspect } from 'node:util'
import { describe, expect, onTestFinished, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import { Client, send } from '../../src/redis/client.ts'
import { judge } from '../../src/redis/failures.ts'
import { startServer } from '../../src/server/standalone.ts'
import { raw, standalone } from '../fixtures/servers.ts'
import { clientSettings } from '../fixtures/client-settings.ts'

/** A peer that answers each chunk; its port. */
async function peer(answer: (socket: Socket, chunk: string) => void): Promise<number> {
  const server = createServer((socket) => {
    socket.on('error', () => {})
    socket.on('data', (chunk) => answer(socket, chunk.toString('latin1')))
  })
  onTestFinished(() => void server.close())
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const address = server.address()
  return typeof address === 'object' && address !== null ? address.port : 0
}

const hello = '%1\r\n+proto\r\n:3\r\n'

/** A client on a peer that greets as servers do, and then answers the first command with some bytes. */
async function greeted(bytes: string): Promise<Client> {
  const port = await peer((socket, chunk) => socket.write(chunk.includes('HELLO') ? hello : bytes))
  const client = new Client({ host: '127.0.0.1', port }, clientSettings)
  onTestFinished(() => client.destroy())
  await client.connect()
  return client
}

describe('a peer that is no Redis', () => {
  test.each([
    'HTTP/1.1 400 Bad Request\r\n\r\n',
    'SSH-2.0-x',
    '\0\0\0',
    '*x\r\n',
    '$-\r\n',
    '*99999999999999999999\r\n',
    '$9999999999999999999\r\n',
    '(x\r\n',
    '+OK\r\n',
  ])('refused: %j', async (bytes) => {
    const port = await peer((socket) => socket.write(bytes))
    const error: unknown = await connectDeployment(`redis://:hunter2@127.0.0.1:${port}`).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'CONNECT_REFUSED', message: expect.stringContaining(`127.0.0.1:${port}`) })
    expect(inspect(error, { depth: 9 })).not.toContain('hunter2')
  })

  test.each(['nonsense\r\n', '*2\r\n$1\r\na\r\n?', '$1z\r\n', '*3\r\n$2x\r\n'])(
    'loses the connection later on, and nothing else: %j',
    async (bytes) => {
      for (const column of [false, true]) {
        const client = await greeted(bytes)
        const ended = new Promise((resolve) => client.onEnd(resolve))
        const bulk = column ? ('column' as const) : ('text' as const)
        const first = client.send(['GET', 'a'], { bulk, map: 'map', big: 'text' }).catch((error: unknown) => error)
        const second = send(client, ['GET', 'b']).catch((error: unknown) => error)
        expect(judge(await first)).toEqual({ kind: 'lost' })
        expect(await second).toBe(await first)
        expect(await ended).toBe(await first)
        expect(client.isReady).toBe(false)
        expect(judge(await send(client, ['GET', 'c']).catch((error: unknown) => error))).toEqual({ kind: 'again' })
      }
    },
  )

  test('a reply that nobody asked for ends the connection, whenever it comes', async () => {
    const client = await greeted('+one\r\n+two\r\n')
    const ended = new Promise((resolve) => client.onEnd(resolve))
    expect(await send(client, ['GET', 'a'])).toBe('one')
    expect(await ended).toMatchObject({ name: 'ProtocolError' })
    const port = await peer((socket) => socket.write(`${hello}+more\r\n`))
    const other = new Client({ host: '127.0.0.1', port }, clientSettings)
    await expect(other.connect()).rejects.toMatchObject({ name: 'ProtocolError' })
    expect(other.isReady).toBe(false)
  })

  test('pushes come between replies', async () => {
    const client = await greeted('>2\r\n+invalidate\r\n_\r\n$1\r\n1\r\n')
    expect(await send(client, ['GET', 'a'])).toBe('1')
  })
})

describe('a server that refuses', () => {
  test.each([
    ["-ERR unknown command 'HELLO', with args beginning with: '3' 'AUTH' 'default' 'hunter2' ", 'CONNECT_VERSION'],
    ['-NOPROTO unsupported protocol version', 'CONNECT_VERSION'],
    ['-NOAUTH HELLO must be called with the client already authenticated', 'CONNECT_AUTH'],
    ['-WRONGPASS invalid username-password pair or user is disabled.', 'CONNECT_AUTH'],
    ['-DENIED Redis is running in protected mode', 'CONNECT_REFUSED'],
    ['-ERR max number of clients reached', 'CONNECT_REFUSED'],
    ["-NOPERM User default has no permissions to run the 'hello' command", 'CONNECT_PERMISSION'],
  ])('%s', async (line, code) => {
    const port = await peer((socket) => socket.end(`${line}\r\n`))
    const error: unknown = await connectDeployment(`redis://:hunter2@127.0.0.1:${port}/1`).catch((e: unknown) => e)
    expect(error).toMatchObject({ code })
    expect(inspect(error, { depth: 9 })).not.toContain('hunter2')
  })

  test('a real one without HELLO repeats no password', async () => {
    await using server = await startServer({ config: { 'rename-command': 'HELLO ""' } })
    const url = `redis://:hunter2@127.0.0.1:${server.port}`
    const error: unknown = await connectDeployment(url).catch((e: unknown) => e)
    expect(error).toMatchObject({ code: 'CONNECT_VERSION' })
    expect(inspect(error, { depth: 9 })).not.toContain('hunter2')
  })

  test('a database that is not there: CONNECT_URL', async () => {
    await using server = await startServer({ config: { databases: '2' } })
    await expect(connectDeployment(`${server.url}/2`)).rejects.toMatchObject({ code: 'CONNECT_URL' })
    await (await connectDeployment(`${server.url}/1`)).close()
  })
})

test('any name can be given to a connection', async () => {
  const server = await standalone()
  for (const [name, shown] of [
    ['two words\r\n', 'two_words__'],
    ['grüße', 'gr__e'],
  ] as const) {
    const deployment = await connectDeployment(server.url, { name })
    expect(String(await raw(server, 'CLIENT', 'LIST'))).toContain(`name=${shown} `)
    await deployment.close()
  }
  await (await connectDeployment(server.url, { name: '' })).close()
})

test('an empty command is refused, and takes no reply of another', async () => {
  const { url } = await standalone()
  const deployment = await connectDeployment(url)
  onTestFinished(() => deployment.close())
  const empty = deployment.command('', [])
  const next = deployment.command('', ['ECHO', 'next'])
  await expect(empty).rejects.toMatchObject({ code: 'PLAN_OPTION' })
  expect(await next).toBe('next')
})
