import { expect, onTestFinished, test } from 'vitest'
import { connectDeployment } from '../../src/redis/connect.ts'
import { startServer } from '../../src/server/standalone.ts'
import { startSentinel } from '../fixtures/sentinel.ts'
import { raw, until } from '../fixtures/servers.ts'

test('the primary that the Sentinels name is found, and followed through a failover', async () => {
  await using primary = await startServer({ password: 'data' })
  await using replica = await startServer({
    password: 'data',
    config: { replicaof: `127.0.0.1 ${primary.port}`, 'replica-priority': '1' },
  })
  await until(async () => String(await raw(replica, 'INFO', 'replication')).includes('master_link_status:up'))
  const sentinel = await startSentinel('main', primary, 'data')
  onTestFinished(() => sentinel.stop())
  // Nobody is at the first address.
  const hosts = `127.0.0.1:1,127.0.0.1:${sentinel.port}`
  const deployment = await connectDeployment(`redis+sentinel://:data@${hosts}/main`)
  onTestFinished(() => deployment.close())
  expect(deployment.topology.shards).toMatchObject([{ port: primary.port }])
  await deployment.command('k', ['SET', 'k', '1'])
  await raw(primary, 'WAIT', 1, 0)

  await until(
    async () =>
      Number(
        await sentinel.command('SENTINEL', 'CKQUORUM', 'main').then(
          () => 1,
          () => 0,
        ),
      ) === 1,
  )
  await until(async () => String(await sentinel.command('SENTINEL', 'REPLICAS', 'main')).includes(String(replica.port)))
  // Knowing of a replica is not yet to know how it is.
  await until(async () =>
    sentinel.command('SENTINEL', 'FAILOVER', 'main').then(
      () => true,
      () => false,
    ),
  )
  // A Sentinel ends the connections of whom it promotes.
  await until(async () => String(await raw(replica, 'ROLE').catch(() => '')).startsWith('master'))
  await primary.kill()
  // A read may be sent again, wherever the loss is noticed.
  expect(await deployment.command('k', ['GET', 'k'])).toBe('1')
  expect(await deployment.command('k', ['INCR', 'k'])).toBe(2)
  expect(deployment.topology.shards).toMatchObject([{ port: replica.port }])

  await expect(connectDeployment(`redis+sentinel://${hosts}/other`)).rejects.toMatchObject({ code: 'CONNECT_URL' })
  await expect(connectDeployment(`redis://127.0.0.1:${sentinel.port}`)).rejects.toMatchObject({ code: 'CONNECT_URL' })
})

test('a server that is asked as a Sentinel is told to be none', async () => {
  await using server = await startServer()
  const password = server.password === undefined ? '' : `?sentinelPassword=${server.password}`
  await expect(connectDeployment(`redis+sentinel://127.0.0.1:${server.port}/main${password}`)).rejects.toMatchObject({
    code: 'CONNECT_URL',
    message: expect.stringContaining('is no Sentinel'),
  })
})
