// What is refused before anything is stored, and what a client sees of its own end.
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { flush, standalone, until } from '../fixtures/servers.ts'
import { store } from './store.ts'

declare function done(value?: unknown): unknown
declare function __name<T>(named: T, name: string): T

describe('kernels', () => {
  let mill: Mill
  beforeAll(async () => {
    mill = await connect(await standalone().then(({ url }) => url), { executors: 1 })
    await store(mill, 'echo', 'function echo(...all) { return done(all) }')
  })
  afterAll(async () => {
    await mill.close()
    await flush()
  })
  const odd = (value: unknown): never => value as never

  it('refuse what is no option, before anything happens', async () => {
    const { kernels } = mill
    const chain = await kernels.start('echo')
    const tries: (() => unknown)[] = [
      () => kernels.start(odd(undefined)),
      () => kernels.start(odd(null)),
      () => kernels.start(odd(['echo'])),
      () => kernels.start({ name: 'echo', id: odd(7) }),
      () => kernels.start({ name: 'echo', id: odd(null) }),
      () => kernels.start({ name: 'echo', id: 'order-gm99999999' }),
      () => kernels.start(odd({ name: 'echo', argument: 1 })),
      () => kernels.start({ name: 'echo', text: odd('yes') }),
      () => kernels.start({ name: 'echo', text: true, args: [1] }),
      () => kernels.start({ name: 'echo', text: true, args: Array.from({ length: 1000 }, () => 'x') }),
      () => kernels.set('s', 'function s() {}', odd(null)),
      () => kernels.set('s', 'function s() {}', odd(5)),
      () => kernels.set('s', 'function s() {}', odd([])),
      () => kernels.set('s', 'function s() {}', { params: new Array<never>(1) }),
      () => kernels.set('s', class {} as never),
      () => kernels.set('s', Math.max),
      () => kernels.set('s', { ['two words']: () => 1 }['two words'].bind(null)),
      () => kernels.chain(odd(undefined)),
      () => kernels.chain(odd(7)),
      () => kernels.signal(odd(undefined)),
      () => kernels.signal(''),
      () => kernels.signal(odd(Symbol('event'))),
      () => kernels.push(odd(undefined)),
      () => kernels.push(''),
      () => chain.done(odd(null)),
      () => chain.done({ signal: odd({}) }),
    ]
    for (const attempt of tries) {
      await expect((async () => attempt())(), String(attempt)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    }
    expect((await kernels.list()).map(({ name }) => name)).toEqual(['echo'])
    expect(await mill.redis.exists('gm:event:undefined')).toBe(0)
  })

  it('leave out what is undefined in objects', async () => {
    const chain = await mill.kernels.start('echo', { a: undefined, b: [undefined, { c: undefined }] })
    expect(await chain.done()).toStrictEqual([{ b: [null, {}] }])
  })

  it('take functions however they are written', async () => {
    const methods = {
      short(x: number) {
        return done(x)
      },
      async late(x: number) {
        return done(await Promise.resolve(x))
      },
      native: () => done('[native code]'),
    }
    for (const [name, f] of Object.entries(methods)) await mill.kernels.set(name, f, { timeoutMs: 60_000 })
    const values = Object.keys(methods).map(async (name) => (await mill.kernels.start(name, 3)).done())
    expect(await Promise.all(values)).toEqual([3, 3, '[native code]'])
    // As tools write that keep names.
    function named(x: number) {
      const more = __name((y: number) => y + 1, 'more')
      return done(more(x))
    }
    for (const trusted of [false, true]) {
      await mill.kernels.set('named', named, { timeoutMs: 60_000, trusted })
      expect(await (await mill.kernels.start('named', 1)).done()).toBe(2)
    }
  })

  it('store a folder as a whole, or nothing of it', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'gearmill-folder-'))
    const pushing = () => mill.kernels.push(folder)
    try {
      await writeFile(join(folder, 'a-first.js'), 'export default () => done(1)')
      await writeFile(join(folder, 'types.d.ts'), 'export type A = 1')
      await mkdir(join(folder, 'folder.js'))
      for (const [name, text] of [
        ['two words.js', 'export default () => done(1)'],
        ['empty.ts', ' \n'],
        ['a-first.ts', 'export default () => done(2)'],
      ] as const) {
        await writeFile(join(folder, name), text)
        await expect(pushing()).rejects.toMatchObject({ code: 'PLAN_OPTION', message: expect.stringContaining(name) })
        await expect(mill.kernels.get('a-first')).rejects.toMatchObject({ code: 'KERNEL_UNKNOWN' })
        await rm(join(folder, name))
      }
      expect(await pushing()).toEqual(['a-first'])
    } finally {
      await rm(folder, { recursive: true })
    }
  })

  it('tell who waits for a chain when the mill is closed', async () => {
    await store(mill, 'wait', "function wait() { return next('echo').when({ key: 'never' }) }")
    const other = await connect((await standalone()).url, { workers: 'remote' })
    const chain = await other.kernels.start('wait')
    await until(async () => (await chain.status()).state === 'waiting')
    let told: unknown
    void chain.done().catch((error: { readonly code: string }) => (told = error.code))
    await other.close()
    // Without being told it would look for itself, seconds later.
    for (let turns = 0; turns < 1000 && told === undefined; turns++)
      await new Promise((resolve) => setImmediate(resolve))
    expect(told).toBe('CONNECT_CLOSED')
    expect(await mill.kernels.chain(chain.id).abort()).toBe(true)
  })

  it('show the last 10,000 steps of a chain', { timeout: 120_000 }, async () => {
    await store(mill, 'loop', "function loop(n) { return n > 0 ? next('loop', n - 1) : done() }")
    const chain = await mill.kernels.start('loop', 10_049)
    await chain.done()
    const trace = await chain.trace()
    expect([trace.length, trace[0]?.step, trace.at(-1)?.step]).toEqual([10_000, 51, 10_050])
    expect((await chain.status()).steps).toBe(10_050)
  })
})
