// `gearmill triggers`, and triggers that only `gearmill worker` runs.
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { until } from '../fixtures/servers.ts'
import { gearmill } from './command-line.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

let server: PrivateServer
let mill: Mill
beforeAll(async () => {
  server = await startServer()
  mill = await connect({ url: server.url, workers: 'remote' })
})
afterAll(async () => {
  await mill.close()
  await server.stop()
})

it('says that there are no dead letters', async () => {
  const trigger = await mill
    .stream('empty')
    .forEach(() => {})
    .register({ name: 'empty' })
  expect(await gearmill(['triggers', 'letters', 'empty', '--url', server.url])).toEqual({
    ...{ code: 0, stdout: '', stderr: 'no dead letters\n' },
  })
  await trigger.remove()
})

it('has workers run triggers, lists them, and moves them', async () => {
  const worker = spawn(process.execPath, [program, 'worker', '--url', server.url, '--executors', '1'], {
    stdio: 'ignore',
  })
  const closed = once(worker, 'close')
  try {
    const trigger = await mill
      .stream('s')
      .map((e) => {
        if (e.value.n === '2') throw new RangeError('two')
      })
      .register({ name: 'count', onFailure: { retries: 0 } })
    for (const n of ['1', '2', '3']) await mill.redis.xAdd('s', '*', { n })
    await until(async () => (await trigger.status()).events === 3)
    const listed = await gearmill(['triggers', '--url', server.url])
    expect(listed.stdout).toMatch(/^name +kind +state/)
    expect(listed.stdout).toMatch(/count +stream +running +3 +2 +1 /)
    expect((await gearmill(['triggers', 'ls', '--url', server.url])).stdout).toMatch(/count +stream/)
    const shown = await gearmill(['triggers', 'letters', 'count', '--url', server.url, '--json'])
    expect(JSON.parse(shown.stdout)).toMatchObject([{ key: 's', attempts: 1, entry: [['n', '2']] }])
    expect(await gearmill(['triggers', 'pause', 'count', '--url', server.url])).toMatchObject({ code: 0 })
    expect((await trigger.status()).state).toBe('paused')
    const resumed = await gearmill(['triggers', 'resume', 'count', '--url', server.url, '--json'])
    expect(JSON.parse(resumed.stdout)).toEqual({ name: 'count', paused: false })
    const replayed = await gearmill(['triggers', 'replay', 'count', '--url', server.url])
    expect(replayed.stderr).toBe('1 dead letter of count to be tried again\n')
    await until(async () => (await trigger.status()).deadLetters === 1)
    await gearmill(['triggers', 'remove', 'count', '--url', server.url])
    expect((await gearmill(['triggers', '--url', server.url, '--json'])).stdout.trim()).toBe('[]')
    expect(await gearmill(['triggers', 'pause', 'count', '--url', server.url])).toMatchObject({
      stderr: expect.stringContaining('TRIGGER_UNKNOWN'),
    })
  } finally {
    worker.kill('SIGTERM')
    await closed
  }
})
