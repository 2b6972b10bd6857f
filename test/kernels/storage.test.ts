// Kernels as they are stored: versions, signatures, imports, and what other clients write.
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { connect, type KernelOptions, type Mill, type MillOptions } from '../../src/index.ts'
import { startServer } from '../../src/server/standalone.ts'
import { describeTopologies, flush, raw, until } from '../fixtures/servers.ts'
import { store } from './store.ts'

declare const next: (name: string, ...args: unknown[]) => { set(key: string, value: string): unknown }

const silent = { debug() {}, info() {}, warn() {}, error() {} }
const open: Mill[] = []
afterEach(async () => {
  vi.unstubAllEnvs()
  await Promise.all(open.splice(0).map((mill) => mill.close()))
  await flush()
})

async function start(options: MillOptions): Promise<Mill> {
  const mill = await connect({ executors: 1, logger: silent, ...options })
  open.push(mill)
  return mill
}

describeTopologies('kernels', (topology) => {
  it('keeps versions, options and statistics', async () => {
    const mill = await start({ url: await topology.url() })
    const { kernels } = mill
    const first = await kernels.set('f', 'function f(x) { return done(x) }', { retries: 2, timeoutMs: 5000 })
    expect(await kernels.set('f', 'function f(x) { return done(x) }', { timeoutMs: 5000, retries: 2 })).toBe(first)
    const second = await kernels.set('f', 'function f(x) { return done(x + 1) }', { timeoutMs: 60_000 })
    expect(second).not.toBe(first)
    expect(await (await kernels.start('f', 1)).done()).toBe(2)
    const kernel = await kernels.get('f')
    expect(kernel).toMatchObject({ name: 'f', version: second, trusted: false, options: { timeoutMs: 60_000 } })
    expect(kernel.source).toBe('function f(x) { return done(x + 1) }')
    expect(kernel.versions.map(({ version, options }) => [version, options])).toEqual([
      [first, { timeoutMs: 5000, retries: 2 }],
      [second, { timeoutMs: 60_000 }],
    ])
    expect(kernel.statistics).toMatchObject({ steps: 1, failures: 0 })
    expect(await kernels.list()).toMatchObject([{ name: 'f', version: second }])
    expect(await kernels.remove('f')).toBe(true)
    expect(await kernels.remove('f')).toBe(false)
    await expect(kernels.get('f')).rejects.toMatchObject({ code: 'KERNEL_UNKNOWN' })
    expect(await kernels.list()).toEqual([])
  })

  it('takes functions and folders', async () => {
    const mill = await start({ url: await topology.url() })
    await mill.kernels.set('begin', (x: string) => next('middle', `${x}!`).set('begun', x), { timeoutMs: 60_000 })
    const folder = await mkdtemp(join(tmpdir(), 'gearmill-push-'))
    try {
      await writeFile(
        join(folder, 'middle.ts'),
        "const end: string = 'last'\nexport default (x: string) => next(end, x)\n",
      )
      await writeFile(
        join(folder, 'last.js'),
        'function helper(x) { return x.length }\nfunction last(x) { return done(helper(x)) }\n',
      )
      await writeFile(join(folder, 'notes.txt'), 'no kernel')
      expect(await mill.kernels.push(folder, { timeoutMs: 60_000 })).toEqual(['last', 'middle'])
    } finally {
      await rm(folder, { recursive: true })
    }
    expect(await (await mill.kernels.start('begin', 'ab')).done()).toBe(3)
    expect(await mill.redis.get('begun')).toBe('ab')
    await expect(mill.kernels.push('/nowhere')).rejects.toMatchObject({ code: 'PLAN_FILE' })
    for (const [name, source, options] of [
      ['a b', 'x', {}],
      ['a', '', {}],
      ['a', 'x', { timeoutMs: 0 }],
      ['a', 'x', { memoryMb: 1.5 }],
      ['a', 'x', { retries: -1 }],
      ['a', 'x', { params: ['texts'] }],
      ['a', 'x', { timeout: 5 }],
    ] as const) {
      await expect(mill.kernels.set(name, source, options as KernelOptions)).rejects.toMatchObject({
        code: 'PLAN_OPTION',
      })
    }
  })

  it('finds what any client wrote, first under the namespace, then by its plain name', async () => {
    const mill = await start({ url: await topology.url() })
    const run = async (): Promise<unknown> =>
      (await mill.kernels.start('k')).done().catch(({ code }: { code: string }) => code)
    expect(await run()).toBe('KERNEL_UNKNOWN')
    await mill.redis.rPush('k', 'no text')
    expect(await run()).toBe('KERNEL_UNKNOWN')
    await mill.redis.set('k', "function k() { return done('plain') }")
    expect(await run()).toBe('plain')
    await mill.redis.set('gm:kernel:k', "function k() { return done('namespace') }")
    expect(await run()).toBe('namespace')
    expect(await mill.kernels.get('k')).toMatchObject({ versions: [], options: {} })
    await store(mill, 'k', "function k() { return done('stored') }")
    expect(await run()).toBe('stored')
    await mill.redis.hSet('gm:kernel:k', { source: "function k() { return done('patched') }" })
    expect(await run()).toBe('patched')
    await mill.kernels.remove('k')
    expect(await run()).toBe('plain')
  })

  it('stores a kernel where something else had its key', async () => {
    const mill = await start({ url: await topology.url() })
    await mill.redis.rPush('gm:kernel:k', ['x'])
    await mill.kernels.set('k', 'function k() { return done(1) }', { timeoutMs: 60_000 })
    expect(await (await mill.kernels.start('k')).done()).toBe(1)
  })

  it('imports other kernels and libraries, as they are at each step', async () => {
    const mill = await start({ url: await topology.url() })
    await store(mill, 'rates', 'export const rate = 2\nexport function tax(n) { return n * rate }')
    await store(
      mill,
      'pay',
      "import { tax } from 'rates'\nexport default function pay(n) { return next('paid', tax(n)).when({ key: 'go' }) }",
    )
    await store(mill, 'paid', "import { rate } from 'rates'\nexport default (n) => done([n, rate])")
    const chain = await mill.kernels.start('pay', 5)
    await until(async () => (await chain.status()).next[0] === 'paid')
    await store(mill, 'rates', 'export const rate = 3\nexport function tax(n) { return n * rate }')
    await mill.redis.set('go', '1')
    expect(await chain.done()).toEqual([10, 3])
    const after = await mill.kernels.start('pay', 5)
    expect(await after.done()).toEqual([15, 3])
  })

  it('runs trusted kernels that are signed, and no others', async () => {
    const unsigned = await start({ url: await topology.url(), workers: 'remote' })
    vi.stubEnv('GEARMILL_SECRET', 'a secret of this test')
    const mill = await start({ url: await topology.url() })
    const source = "import { arch } from 'node:os'\nexport default () => done(arch())"
    await store(mill, 'signed', source, { trusted: true })
    expect(await (await mill.kernels.start('signed')).done()).toBe(process.arch)
    await store(unsigned, 'unsigned', source, { trusted: true })
    await expect((await mill.kernels.start('unsigned')).done()).rejects.toMatchObject({ code: 'KERNEL_SIGNATURE' })
    // A signature is of one name and one source.
    await mill.redis.hSet('gm:kernel:signed', { source: `${source}\n` })
    await expect((await mill.kernels.start('signed')).done()).rejects.toMatchObject({ code: 'KERNEL_SIGNATURE' })
    await store(mill, 'sandboxed', source)
    await expect((await mill.kernels.start('sandboxed')).done()).rejects.toMatchObject({ code: 'KERNEL_IMPORT' })
  })
})

it('needs no more than the documented permissions', async () => {
  const page = await readFile(new URL('../../docs/operations.md', import.meta.url), 'utf8')
  const rule = /```text\n(ACL SETUSER[\s\S]*?)```/.exec(page)?.[1]?.trim().split(/\s+/) ?? []
  await using server = await startServer()
  await raw(server, ...rule)
  await using mill = await connect({
    url: server.url.replace('redis://', 'redis://gearmill:a-long-password@'),
    executors: 1,
    logger: silent,
  })
  await store(mill, 'app', "function app(x) { return next('app:plain', '@app:in').set('app:x', x) }")
  await raw(server, 'SET', 'app:plain', 'export default (x) => done(x)')
  await raw(server, 'SET', 'app:in', 'in')
  expect(await (await mill.kernels.start('app', 'y')).done()).toBe('in')
  await raw(server, 'SET', 'elsewhere', 'function elsewhere() { return done(1) }')
  await expect((await mill.kernels.start('elsewhere')).done()).rejects.toMatchObject({ code: 'KERNEL_UNKNOWN' })
  await store(mill, 'reach', "function reach() { return done().set('elsewhere', 'x') }")
  await expect((await mill.kernels.start('reach')).done()).rejects.toMatchObject({ code: 'KERNEL_WRITE' })
  await store(mill, 'look', 'function look(x) { return done(x) }')
  await expect((await mill.kernels.start('look', '@elsewhere')).done()).rejects.toMatchObject({ code: 'KERNEL_INPUT' })
})
