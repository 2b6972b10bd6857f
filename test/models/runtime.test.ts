// Where onnxruntime-node is missing: tasks that need it go to workers that have it, and it is said clearly where none has.
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { NativeSession, runtimeVersion } from '../../src/native/onnx/runtime.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { gearmill } from '../cli/command-line.ts'
import { until } from '../fixtures/servers.ts'
import { sumAndDifference } from './onnx.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

let server: PrivateServer
let mill: Mill
const workers: { readonly child: ChildProcess; readonly closed: Promise<unknown> }[] = []
beforeAll(async () => {
  server = await startServer()
  mill = await connect({ url: server.url, workers: 'remote' })
  await mill.models.set('m', sumAndDifference)
})
afterAll(async () => {
  for (const { child } of workers) child.kill('SIGTERM')
  await Promise.all(workers.map(({ closed }) => closed))
  await mill.close()
  await server.stop()
})

async function startWorker(runtime: string): Promise<void> {
  const env = { ...process.env, GEARMILL_ONNXRUNTIME: runtime }
  const child = spawn(process.execPath, [program, 'worker', '--url', server.url, '--executors', '1'], {
    stdio: 'ignore',
    env,
  })
  workers.push({ child, closed: once(child, 'close') })
  await until(async () => (await mill.redis.zCard('gm:{gm0}:live:remote')) === workers.length)
}

async function found(): Promise<string> {
  const { stdout } = await gearmill(['doctor', '--url', server.url])
  return stdout
}

const input = { dtype: 'float32' as const, shape: [1, 2], data: [1, 2] }
const missing = { code: 'MODEL_RUNTIME', hint: expect.stringContaining('npm install onnxruntime-node') }

// Workers start and tasks are passed on between them: that takes its time on a busy machine.
it('says what to type where no worker has it, and finds the worker that has it', { timeout: 180_000 }, async () => {
  await startWorker('off')
  expect(await found()).toMatch(/1 executor; models run on none of them/)
  await expect(mill.models.run('m', { x: input })).rejects.toMatchObject(missing)
  const pipeline = mill.from([1, 2, 3, 4, 5, 6], { partitions: 6 }).predict('m', { input: (n) => [n, n] })
  await expect(pipeline.run()).rejects.toMatchObject(missing)
  const submitted = await mill.submit(async () => (await mill.models.run('m', { x: input })).y?.data[0])
  await expect(submitted.result()).rejects.toMatchObject(missing)
  const mapped = mill.from([1]).map(async () => (await mill.models.run('m', { x: input })).y?.data[0])
  await expect(mapped.run()).rejects.toMatchObject(missing)

  const trigger = await mill
    .stream('s')
    .predict('m', { input: ({ value }) => [Number(value.n), 0] })
    .write(({ output }) => ['RPUSH', 'seen', String(output.y?.data[0])])
    .register({ name: 't', onFailure: { retries: 0 } })
  await mill.redis.xAdd('s', '*', { n: '7' })

  await startWorker('')
  expect(await found()).toMatch(/2 executors; models run on 1 of them/)
  expect((await pipeline.run()).map(({ output }) => output.y?.data[0])).toEqual([12, 14, 16, 18, 20, 22])
  for (let k = 0; k < 4; k++) {
    expect(await mill.models.run('m', { x: input })).toMatchObject({ y: { data: Float32Array.of(13, 19) } })
  }
  await until(async () => (await mill.redis.lLen('seen')) === 1)
  expect(await mill.redis.lRange('seen', 0, -1)).toEqual(['17'])
  expect(await trigger.status()).toMatchObject({ successes: 1, failures: 0 })
})

it('lists models on the command line, and the runtime in the doctor', async () => {
  const { stdout } = await gearmill(['models', 'ls', '--url', server.url])
  expect(stdout).toMatch(
    /^name +bytes +inputs +outputs +stored +sha-256\nm +147 +x: float32 \[N, 2\] +y: float32 \[N, 2\] +2/,
  )
  const json = await gearmill(['models', '--url', server.url, '--json'])
  expect(JSON.parse(json.stdout)).toMatchObject([{ name: 'm', bytes: 147, inputs: [{ name: 'x' }] }])
  const none = await gearmill(['models', '--url', server.url, '--namespace', 'empty'])
  expect(none).toMatchObject({ code: 0, stdout: '', stderr: expect.stringContaining('no models') })
  expect(await found()).toMatch(new RegExp(`^ok {4}onnxruntime +${runtimeVersion()}$`, 'm'))
})

it('refuses a folder that is not there, and a model that is none', async () => {
  const before = process.env.GEARMILL_ONNXRUNTIME
  process.env.GEARMILL_ONNXRUNTIME = '/no/such/folder'
  try {
    expect(runtimeVersion()).toBeUndefined()
    await expect(NativeSession.open(sumAndDifference)).rejects.toMatchObject(missing)
  } finally {
    if (before === undefined) delete process.env.GEARMILL_ONNXRUNTIME
    else process.env.GEARMILL_ONNXRUNTIME = before
  }
  expect(runtimeVersion()).toMatch(/^\d+\.\d+\.\d+$/)
  await expect(NativeSession.open(Buffer.from('no model'))).rejects.toMatchObject({ code: 'MODEL_FORMAT' })
})
