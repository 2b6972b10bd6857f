import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import { connect, type AddressInfo } from 'node:net'
import { join } from 'node:path'
import { createServer } from 'node:tls'
import { promisify } from 'node:util'
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import { freePorts } from '../../src/server/ports.ts'
import { removeTemporary, startServer, temporaryDirectory, type PrivateServer } from '../../src/server/standalone.ts'
import { standalone } from '../fixtures/servers.ts'

const run = promisify(execFile)

let dir = ''
/** A certificate that its own key signed; none where the machine cannot make one. */
let ca: Buffer | undefined
/** A server that speaks TLS; none where it was built without. */
let server: PrivateServer | undefined
let port = 0

beforeAll(async () => {
  dir = await temporaryDirectory()
  const key = join(dir, 'key.pem')
  const cert = join(dir, 'cert.pem')
  const names = 'subjectAltName=DNS:localhost,IP:127.0.0.1'
  const made = ['-newkey', 'rsa:2048', '-nodes', '-keyout', key, '-out', cert, '-days', '2', '-subj', '/CN=localhost']
  await run('openssl', ['req', '-x509', ...made, '-addext', names]).then(
    async () => (ca = await readFile(cert)),
    () => undefined,
  )
  if (ca === undefined) return
  port = (await freePorts(1))[0] ?? 0
  const config = { 'tls-port': String(port), 'tls-cert-file': cert, 'tls-key-file': key, 'tls-auth-clients': 'no' }
  server = await startServer({ config, password: 'hunter2' }).catch(() => undefined)
})

afterAll(async () => {
  await server?.stop()
  await removeTemporary(dir)
})

describe('a server that speaks TLS', () => {
  test('is used as any other, large values too', async (context) => {
    if (ca === undefined || server === undefined) return context.skip()
    for (const host of ['127.0.0.1', 'localhost']) {
      const deployment = await connectDeployment(`rediss://:hunter2@${host}:${port}/1`, { tls: { ca } })
      const large = Buffer.alloc(1 << 20, 'value')
      expect(await deployment.command('k', ['SET', 'k', large])).toBe('OK')
      expect(large.equals((await deployment.command('k', ['GET', 'k'], { binary: true })) as Buffer)).toBe(true)
      await deployment.close()
    }
  })

  test('is refused where its certificate is not trusted', async (context) => {
    if (server === undefined) return context.skip()
    await expect(connectDeployment(`rediss://:hunter2@127.0.0.1:${port}`)).rejects.toMatchObject({
      code: 'CONNECT_REFUSED',
      message: expect.stringMatching(/^(?!.*hunter2).*TLS.*certificate/),
      hint: expect.stringContaining('certificate'),
    })
  })

  test('is refused where one side speaks no TLS', async (context) => {
    if (ca === undefined || server === undefined) return context.skip()
    const refused = { code: 'CONNECT_REFUSED', message: expect.not.stringContaining('hunter2') }
    await expect(connectDeployment(`redis://:hunter2@127.0.0.1:${port}`)).rejects.toMatchObject(refused)
    const plain = `rediss://:hunter2@127.0.0.1:${server.port}`
    await expect(connectDeployment(plain, { tls: { ca }, connectTimeoutMs: 1000 })).rejects.toMatchObject(refused)
    const broken = { ca: 'no certificate', cert: 'none', key: 'none' }
    await expect(connectDeployment(plain, { tls: broken })).rejects.toMatchObject(refused)
  })
})

test('servers are told by which name they were asked for, unless it is an address', async (context) => {
  if (ca === undefined) return context.skip()
  const { port: redisPort } = await standalone()
  const names: unknown[] = []
  const front = createServer({ cert: ca, key: await readFile(join(dir, 'key.pem')) }, (socket) => {
    names.push('servername' in socket ? socket.servername : undefined)
    const behind = connect(redisPort, '127.0.0.1')
    for (const end of [socket, behind]) end.on('error', () => {})
    socket.pipe(behind).pipe(socket)
  })
  onTestFinished(() => void front.close())
  await new Promise<void>((resolve) => front.listen(0, '127.0.0.1', resolve))
  const { port: frontPort } = front.address() as AddressInfo
  for (const [host, servername] of [['localhost'], ['127.0.0.1'], ['127.0.0.1', 'localhost']] as const) {
    const tls = servername === undefined ? { ca } : { ca, servername }
    await (await connectDeployment(`rediss://${host}:${frontPort}`, { tls })).close()
  }
  expect(names).toEqual(['localhost', false, 'localhost'])
})
