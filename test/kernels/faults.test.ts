// What a step can do to its executor, and what becomes of the others: real processes that hang, grow and die.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { afterEach, expect, it } from 'vitest'
import { connect, type Chain, type Mill, type MillOptions } from '../../src/index.ts'
import { flush, standalone, until } from '../fixtures/servers.ts'
import { store } from './store.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname
const silent = { debug() {}, info() {}, warn() {}, error() {} }
const open: Mill[] = []
afterEach(async () => {
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})

async function start(options: MillOptions = {}): Promise<Mill> {
  const { url } = await standalone()
  const mill = await connect({ url, executors: 1, logger: silent, ...options })
  open.push(mill)
  return mill
}

/** Chains of 30 steps, half of them trusted. */
async function others(mill: Mill): Promise<Chain[]> {
  const body = "return n > 1 ? next(NAME, n - 1).do('INCR', 'total') : done('fine').do('INCR', 'total')"
  await store(mill, 'safe', `function safe(n) { ${body.replace('NAME', "'open'")} }`)
  await store(mill, 'open', `async function open(n) { await null; ${body.replace('NAME', "'safe'")} }`, {
    trusted: true,
  })
  return Promise.all(Array.from({ length: 40 }, () => mill.kernels.start('safe', 30)))
}

async function expectFine(mill: Mill, chains: readonly Chain[]): Promise<void> {
  expect(new Set(await Promise.all(chains.map((chain) => chain.done())))).toEqual(new Set(['fine']))
  expect(await mill.redis.get('total')).toBe(String(chains.length * 30))
  await mill.redis.del('total')
}

it('ends a trusted step that holds its executor, and nothing else', async () => {
  const mill = await start()
  await store(mill, 'hang', 'function hang() { for (;;); }', { trusted: true, timeoutMs: 300 })
  const chains = await others(mill)
  const hangs = await mill.kernels.start('hang')
  await expect(hangs.done()).rejects.toMatchObject({ code: 'KERNEL_TIMEOUT', kernel: 'hang', step: 1 })
  await expectFine(mill, chains)
  expect(await hangs.trace()).toMatchObject([{ kernel: 'hang', attempt: 1, error: { code: 'KERNEL_TIMEOUT' } }])
})

it('gives up a trusted step that waits for ever, and the executor that it hangs in', async () => {
  const mill = await start()
  await store(mill, 'wait', 'async function wait() { await new Promise(() => {}) }', {
    trusted: true,
    timeoutMs: 200,
  })
  const chains = await others(mill)
  await until(() => mill.executors.pids.length > 0)
  const before = mill.executors.pids
  await expect((await mill.kernels.start('wait')).done()).rejects.toMatchObject({ code: 'KERNEL_TIMEOUT' })
  await expectFine(mill, chains)
  await until(() => mill.executors.pids.every((pid) => !before.includes(pid)))
  await expectFine(mill, await others(mill))
})

it('ends an executor that takes too much memory, and the step that took it', async () => {
  const mill = await start({ executorMemoryMb: 300 })
  await store(
    mill,
    'grow',
    'function grow() { const all = []; for (;;) all.push(Buffer.alloc(1 << 20, all.length)) }',
    { trusted: true, timeoutMs: 60_000 },
  )
  const chains = await others(mill)
  await expect((await mill.kernels.start('grow')).done()).rejects.toMatchObject({ code: 'KERNEL_MEMORY' })
  await expectFine(mill, chains)
})

it('gives up a step that ends its executor again and again', async () => {
  const mill = await start()
  await store(mill, 'exit', 'function exit() { process.exit(3) }', { trusted: true })
  const chains = await others(mill)
  await expect((await mill.kernels.start('exit')).done()).rejects.toMatchObject({ code: 'KERNEL_CRASHED' })
  await expectFine(mill, chains)
})

it('gives up a step that breaks its executor, which is replaced', async () => {
  const mill = await start()
  const source = "function tamper() { Array.prototype.map = () => { throw new Error('tampered') }; return done() }"
  await store(mill, 'tamper', source, { trusted: true })
  await expect((await mill.kernels.start('tamper')).done()).rejects.toMatchObject({ code: 'KERNEL_CRASHED' })
  await expectFine(mill, await others(mill))
})

it('goes on in another worker when one is killed, without the client that started it', async () => {
  const { url } = await standalone()
  const worker = () =>
    spawn(process.execPath, [program, 'worker', '--url', url, '--executors', '1', '--lease', '1000'], {
      stdio: 'ignore',
    })
  const first = worker()
  const client = await start({ workers: 'remote' })
  await store(
    client,
    'slow',
    "async function slow(n) { await new Promise((on) => setTimeout(on, 5)); return (n < 200 ? next('slow', n + 1) : done('end')).do('HINCRBY', 'times', n, 1) }",
    { trusted: true },
  )
  const ids = await Promise.all(Array.from({ length: 10 }, async () => (await client.kernels.start('slow', 1)).id))
  await client.close()
  const mill = await start({ workers: 'remote' })
  await until(async () => (await mill.redis.hLen('times')) > 20)
  const gone = once(first, 'exit')
  first.kill('SIGKILL')
  await gone
  const second = worker()
  expect(await Promise.all(ids.map((id) => mill.kernels.chain(id).done()))).toEqual(ids.map(() => 'end'))
  expect(await mill.redis.hLen('times')).toBe(200)
  expect(new Set(await mill.redis.hVals('times'))).toEqual(new Set(['10']))
  const ended = once(second, 'exit')
  second.kill('SIGTERM')
  await ended
})

it('gives its chains back when it is closed', async () => {
  const client = await start({ workers: 'remote' })
  const first = await start()
  await store(
    client,
    'tick',
    "function tick(n) { return (n < 300 ? next('tick', n + 1) : done(n)).do('INCR', 'ticks') }",
  )
  const chains = await Promise.all(Array.from({ length: 5 }, () => client.kernels.start('tick', 1)))
  await until(async () => Number(await client.redis.get('ticks')) > 10)
  await first.close()
  const at = Number(await client.redis.get('ticks'))
  await start()
  expect(await Promise.all(chains.map((chain) => chain.done()))).toEqual(chains.map(() => 300))
  expect(at).toBeLessThanOrEqual(1500)
  expect(await client.redis.get('ticks')).toBe('1500')
})
