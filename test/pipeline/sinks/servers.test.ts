// The sinks that write keys, streams and files, on real servers with real executors.
import { mkdtempSync, readFileSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest'
import { describeTopologies, flush } from '../../fixtures/servers.ts'
import { type RealEngine, realEngine } from '../real-engine.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-sinks-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

describeTopologies('sinks', (topology) => {
  let engine: RealEngine
  beforeAll(async () => {
    engine = await realEngine(await topology.url(), 2)
  })
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]()
    await flush()
  })
  beforeEach(async () => {
    for (const key of await engine.keys('sink:*')) await engine.command('DEL', key)
  })

  it('toStream appends an entry for each record, in order within a split', async () => {
    const items = Array.from({ length: 700 }, (_, n) => ({ n, word: `w${n}` }))
    expect(await engine.read.from(items, { partitions: 1 }).toStream('sink:s').run()).toEqual({ written: 700 })
    const records = await engine.read.keys('sink:s', { type: 'stream' }).run()
    expect(records[0]?.value.map(({ value }) => value)).toEqual(items.map(({ n, word }) => ({ n: String(n), word })))
    const pairs: (readonly [string, string])[][] = [[['f', '1'], ['f', '2']]] // prettier-ignore
    await engine.read.from(pairs).toStream('sink:pairs').run()
    const [entry] = (await engine.command('XRANGE', 'sink:pairs', '-', '+')) as [string, string[]][]
    expect(entry?.[1]).toEqual(['f', '1', 'f', '2'])
    const { written, errors } = await engine.read
      .from([{}, { a: {} }, { a: 1 }])
      .toStream('sink:t')
      .run({ onError: 'skip' })
    expect([written, errors.map(({ code }) => code)]).toEqual([1, ['PLAN_RECORD', 'PLAN_RECORD']])
  })

  it('toKeys replaces keys of any slot: text, hashes, with a time to live', async () => {
    await engine.command('RPUSH', 'sink:0', 'old')
    const texts = engine.read.from(Array.from({ length: 600 }, (_, n) => n))
    expect(await texts.toKeys((n) => (n % 2 === 0 ? [`sink:${n}`, n] : null)).run()).toEqual({ written: 300 })
    expect(await engine.command('GET', 'sink:0')).toBe('0')
    expect((await engine.keys('sink:*')).length).toBe(300)

    await engine.command('HSET', 'sink:0', 'old', 'x').catch(() => undefined)
    const large = Object.fromEntries(Array.from({ length: 2500 }, (_, i) => [`f${i}`, i]))
    await engine.read
      .from([0, 2, 4])
      .with({ large })
      .toKeys((n, values) =>
        n === 0
          ? { key: 'sink:0', value: values.large }
          : n === 2
            ? { key: 'sink:2', value: { a: 'b' }, ttl: 1000 }
            : { key: 'sink:4', value: 'short', ttl: 0.5 + 1000 },
      )
      .run()
    expect(await engine.command('HLEN', 'sink:0')).toBe(2500)
    expect(await engine.command('HGET', 'sink:2', 'a')).toBe('b')
    expect(await engine.command('TTL', 'sink:2')).toBeGreaterThan(900)
    expect(await engine.command('PTTL', 'sink:4')).toBeGreaterThan(900_000)
    expect(await engine.command('TTL', 'sink:0')).toBe(-1)

    const bad: unknown[] = [
      { key: 'k' },
      'text',
      ['k', [1]],
      ['', 1],
      { key: 'k', value: 1, ttl: -1 },
      ['k', new Map([['a', 1]])],
      ['k', new Set(['a'])],
      ['k', new Date(0)],
    ]
    const { errors } = await engine.read
      .from(bad)
      .toKeys((one) => one as ['k', 'v'])
      .run({ onError: 'skip' })
    expect(errors.map(({ code }) => code)).toEqual(bad.map(() => 'PLAN_RECORD'))
  })

  it('take no objects whose properties say nothing, and show what was refused', async () => {
    const odd = [new Map([['a', 1]]), new Date(0), Uint8Array.of(1), ['a']]
    for (const sink of [
      engine.read.from(odd).toHash('sink:h'),
      engine.read.from(odd).toStream('sink:s'),
      engine.read.from(odd as never[]).toSortedSet('sink:z'),
    ]) {
      const { written, errors } = await sink.run({ onError: 'skip' })
      expect([written, ...errors.map(({ code }) => code)]).toEqual([0, ...odd.map(() => 'PLAN_RECORD')])
    }
    const message = async (run: Promise<unknown>) => ((await run.catch((error: unknown) => error)) as Error).message
    expect(await message(engine.read.from([['b', NaN]] as [string, number][]).toSortedSet('sink:z').run())).toContain("got [ 'b', NaN ]") // prettier-ignore
    const big = engine.read.from([1n]).write((n) => ['SET', 'sink:n', n as never])
    expect(await message(big.run())).toContain("expected f to return ['HSET', key, field, value], a list of such commands, or null, got [ 'SET', 'sink:n', 1n ]") // prettier-ignore
  })

  it('toFile counts each record once, though executors die in the middle', async () => {
    const out = join(folder, engine.namespace)
    const marker = mkdtempSync(join(folder, 'marker-'))
    const items = Array.from({ length: 2000 }, (_, n) => n)
    const pipeline = engine.read
      .from(items, { partitions: 4 })
      .with({ marker })
      .map(async (n, values) => {
        const { existsSync, writeFileSync } = await import('node:fs')
        const died = `${values.marker}/${n}`
        if (n % 500 === 499 && !existsSync(died)) {
          writeFileSync(died, '')
          process.kill(process.pid, 'SIGKILL')
        }
        return n
      })
    expect(await pipeline.toFile(out).run()).toEqual({ written: 2000 })
    const names = readdirSync(out).sort()
    expect(names).toEqual([0, 1, 2, 3].map((i) => `part-0000${i}.jsonl`))
    expect(names.flatMap((name) => readFileSync(join(out, name), 'utf8').trim().split('\n').map(Number))).toEqual(items)
    expect(readdirSync(marker).length).toBe(4)
    expect(readdirSync(folder).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('toFile leaves nothing of an execution that is aborted', async () => {
    const out = join(folder, `${engine.namespace}-aborted`)
    const execution = await engine.read
      .from([1, 2])
      .map((n) => (n === 1 ? n : new Promise<number>(() => undefined)))
      .toFile(out)
      .start()
    await execution.abort()
    await expect(execution.result()).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
    expect(readdirSync(folder).filter((name) => name.includes('aborted'))).toEqual([])
  })
})
