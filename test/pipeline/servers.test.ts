// Pipelines on real servers: the keys reader, the sinks, and that results depend on no executor.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { describeTopologies, flush } from '../fixtures/servers.ts'
import { onWorker } from '../../src/code/resource.ts'
import { RunningExecution } from '../../src/pipeline/execution.ts'
import { itemsOf, textOf } from '../../src/redis/replies.ts'
import { type RealEngine, realEngine } from './real-engine.ts'

const sorted = (values: readonly unknown[]): string[] => values.map((value) => JSON.stringify(value)).sort()

describeTopologies('pipelines', (topology) => {
  describe.each([1, 3])('with %i executors', (executors) => {
    let engine: RealEngine
    beforeAll(async () => {
      engine = await realEngine(await topology.url(), executors)
    })
    afterAll(async () => {
      await engine?.[Symbol.asyncDispose]()
      await flush()
    })

    const fill = (count: number, prefix: string): Promise<unknown> =>
      Promise.all(Array.from({ length: count }, (_, i) => engine.command('SET', `${prefix}:${i}`, `value ${i % 7}`)))

    it('count the words of a file in many splits', async () => {
      const folder = mkdtempSync(join(tmpdir(), 'gearmill-words-'))
      try {
        const path = join(folder, 'in.csv')
        const texts = Array.from({ length: 3000 }, (_, i) => `w${i % 13} "x${i % 7}"\n${i % 2 === 0 ? 'Ä' : ''} z`)
        writeFileSync(path, `id,text\n${texts.map((text, i) => `${i},"${text.replaceAll('"', '""')}"\n`).join('')}`)
        const expected = new Map<string, number>()
        for (const word of texts.flatMap((text) => text.toLowerCase().match(/\S+/g) ?? [])) {
          expected.set(word, (expected.get(word) ?? 0) + 1)
        }
        const files = engine.read.files(path, { format: 'csv', column: 'text', splitBytes: 4000 })
        for (const texts of [files, files.map((text) => text)]) {
          const counts = await texts.lower().words().countBy().run()
          expect(new Map(counts.map(({ key, value }) => [key, value]))).toEqual(expected)
        }
      } finally {
        rmSync(folder, { recursive: true })
      }
    })

    it('make resources once per executor, and close them', async () => {
      const made = engine.read
        .from([1, 2, 3, 4, 5, 6], { partitions: 6 })
        .with({ counter: onWorker(() => ({ id: Math.random(), calls: 0 })), k: 10 })
        .map((n, { counter, k }) => ({ id: counter.id, calls: ++counter.calls, n: n * k }))
      const records = await made.run()
      expect(records.map(({ n }) => n)).toEqual([10, 20, 30, 40, 50, 60])
      const ids = new Set(records.map(({ id }) => id))
      expect(ids.size).toBeLessThanOrEqual(executors)
      for (const id of ids) {
        const calls = records.filter((record) => record.id === id).map((record) => record.calls)
        expect(calls.toSorted((a, b) => a - b)).toEqual(calls.map((_, i) => i + 1))
      }
    })

    it('read keys with values of all types', async () => {
      const key = (name: string): string => `types:${name}`
      await engine.command('SET', key('string'), 'text ü')
      await engine.command('HSET', key('hash'), 'a', '1', 'b', '2')
      await engine.command('RPUSH', key('list'), 'x', 'y', 'x')
      await engine.command('SADD', key('set'), 'm')
      await engine.command('ZADD', key('zset'), '1.5', 'low', 'inf', 'high')
      await engine.command('XADD', key('stream'), '1-1', 'f', 'v')
      const numbers = Array.from({ length: 2500 }, (_, i) => i)
      await engine.command('RPUSH', key('long list'), ...numbers)
      await engine.command('SADD', key('large set'), ...numbers)
      await engine.command('HSET', key('large hash'), ...numbers.flatMap((i) => [`f${i}`, i]))
      await engine.command('ZADD', key('large zset'), ...numbers.flatMap((i) => [i, `m${i}`]))

      const records = await engine.read.keys('types:*').run()
      const values = new Map<string, unknown>(records.map((record) => [record.key.slice(6), record.value]))
      expect(values.size).toBe(10)
      expect(values.get('string')).toBe('text ü')
      expect(values.get('hash')).toEqual({ a: '1', b: '2' })
      expect(values.get('list')).toEqual(['x', 'y', 'x'])
      expect(values.get('set')).toEqual(['m'])
      expect(values.get('zset')).toEqual([
        { member: 'low', score: 1.5 },
        { member: 'high', score: Infinity },
      ])
      expect(values.get('stream')).toEqual([{ id: '1-1', value: { f: 'v' } }])
      expect(values.get('long list')).toEqual(numbers.map(String))
      expect(new Set(values.get('large set') as string[])).toEqual(new Set(numbers.map(String)))
      expect(values.get('large hash')).toEqual(Object.fromEntries(numbers.map((i) => [`f${i}`, String(i)])))
      expect(values.get('large zset')).toEqual(numbers.map((i) => ({ member: `m${i}`, score: i })))

      const zsets = await engine.read.keys('types:*', { type: 'zset' }).run()
      expect(zsets.map((record) => record.key).sort()).toEqual(['types:large zset', 'types:zset'])
      expect(await engine.read.keys('types:*', { values: false }).count().run()).toEqual([10])
    })

    it('fail keys and values that are not UTF-8, or give them as bytes', async () => {
      const bad = Buffer.from([0x62, 0x69, 0x6e, 0x3a, 0xff])
      await engine.deployment.command(bad, ['SET', bad, 'a'])
      await engine.deployment.command('bin:value', ['SET', 'bin:value', bad])
      await engine.command('SET', 'bin:good', '\uFFFD')
      const { results, errors } = await engine.read.keys('bin:*').run({ onError: 'skip' })
      expect(results).toEqual([{ key: 'bin:good', type: 'string', value: '\uFFFD' }])
      expect(errors.map(({ code }) => code)).toEqual(['PLAN_ENCODING', 'PLAN_ENCODING'])
      const binary = await engine.read.keys('bin:*', { binary: true, values: false }).run()
      expect(binary.map((key) => Buffer.from(key).toString('latin1')).sort()).toEqual(
        ['bin:good', 'bin:value', bad.toString('latin1')].sort(),
      )
      await engine.deployment.command(bad, ['DEL', bad])
      await engine.command('DEL', 'bin:value')
    })

    it('skip what Gearmill itself keeps', async () => {
      await fill(3, 'own')
      const keys = await engine.read.keys('*', { values: false }).run()
      expect(keys.filter((key) => key.startsWith(engine.namespace))).toEqual([])
      expect(keys.filter((key) => key.startsWith('own:')).sort()).toEqual(['own:0', 'own:1', 'own:2'])
    })

    it('count values of many keys', async () => {
      await fill(3000, 'many')
      const counts = await engine.read
        .keys('many:*', { type: 'string' })
        .countBy(({ value }) => value)
        .run()
      expect(sorted(counts)).toEqual(
        sorted(Array.from({ length: 7 }, (_, i) => ({ key: `value ${i}`, value: i < 3000 % 7 ? 429 : 428 }))),
      )
    })

    describe('sinks', () => {
      const words = () => engine.read.from(['a b', 'b c', 'c c'], { partitions: 3 }).split(' ').countBy()
      const scores = async (key: string): Promise<string[]> =>
        itemsOf(await engine.deployment.command(key, ['ZRANGE', key, '0', '-1', 'WITHSCORES']))
          .flatMap((item) => (Array.isArray(item) ? item : [item]))
          .map(textOf)
      beforeEach(async () => {
        for (const key of await engine.keys('sink:*')) await engine.command('DEL', key)
      })

      it('say what they wrote to whoever finds the execution', async () => {
        const found = async (id: string): Promise<unknown> => {
          const handle = await engine.find(id)
          return new RunningExecution(handle).result()
        }
        const published = await words().toSortedSet('sink:z').start()
        expect(await published.result()).toEqual([{ written: 3 }])
        expect(await found(published.id)).toEqual([{ written: 3 }])
        const applied = await words()
          .write(({ key, value }) => ['HSET', 'sink:h', key, String(value)])
          .start()
        expect(await found(applied.id)).toEqual([{ written: 3 }])
        expect(await found((await words().start()).id)).toHaveLength(3)
      })

      it('toSortedSet replaces at once, and leaves nothing beside', async () => {
        await engine.command('ZADD', 'sink:z', '9', 'old')
        expect(await words().toSortedSet('sink:z').run()).toEqual({ written: 3 })
        expect(await scores('sink:z')).toEqual(['a', '1', 'b', '2', 'c', '3'])
        expect(await engine.command('TTL', 'sink:z')).toBe(-1)
        expect(await engine.keys(`${engine.namespace}:*tmp*`)).toEqual([])
        const none = engine.read.from<[string, number]>([])
        expect(await none.toSortedSet('sink:z').run()).toEqual({ written: 0 })
        expect(await engine.command('EXISTS', 'sink:z')).toBe(0)
      })

      it('toSortedSet and toHash add', async () => {
        for (let i = 0; i < 2; i++)
          expect(await words().toSortedSet('sink:z', { mode: 'add' }).run()).toEqual({ written: 3 })
        expect(await scores('sink:z')).toEqual(['a', '2', 'b', '4', 'c', '6'])
        await words().toHash('sink:h', { mode: 'add' }).run()
        const halves = engine.read.from([{ b: 0.5 }])
        await halves.toHash('sink:h', { mode: 'add' }).run()
        expect(await engine.command('HGET', 'sink:h', 'b')).toBe('2.5')
      })

      it('toHash takes pairs and objects', async () => {
        expect(await words().toHash('sink:h').run()).toEqual({ written: 3 })
        expect(await engine.command('HGET', 'sink:h', 'c')).toBe('3')
        expect(
          await engine.read
            .from([{ x: 1, y: 'two' }])
            .toHash('sink:h')
            .run(),
        ).toEqual({ written: 2 })
        expect(await engine.command('HGET', 'sink:h', 'y')).toBe('two')
        expect(await engine.command('HLEN', 'sink:h')).toBe(2)
      })

      it('write applies the commands of each record once', async () => {
        const sink = engine.read
          .from(
            Array.from({ length: 500 }, (_, i) => i),
            { partitions: 5 },
          )
          .write((n) =>
            n % 2 === 0
              ? null
              : n === 1
                ? [
                    ['INCR', 'sink:n'],
                    ['SADD', 'sink:s', n],
                  ]
                : ['SADD', `sink:s`, n],
          )
        expect(await sink.run()).toEqual({ written: 251 })
        expect(await engine.command('SCARD', 'sink:s')).toBe(250)
        expect(await engine.command('GET', 'sink:n')).toBe('1')
      })

      it('publish nothing where the execution fails as a whole', async () => {
        await engine.command('ZADD', 'sink:z', '9', 'old')
        const pipeline = engine.read.from([1, 2, 3]).map((n): [string, number] => {
          if (n > 1) throw new Error('bad')
          return ['a', n]
        })
        await expect(pipeline.toSortedSet('sink:z').run()).rejects.toMatchObject({ code: 'EXECUTION_FAILED' })
        expect(await scores('sink:z')).toEqual(['old', '9'])
        await expect(pipeline.toSortedSet('sink:z').run({ onError: 'skip', maxErrors: 1 })).rejects.toBeInstanceOf(
          Error,
        )
        expect(await scores('sink:z')).toEqual(['old', '9'])
        expect(await pipeline.toSortedSet('sink:z').run({ onError: 'skip' })).toMatchObject({ written: 1 })
        expect(await scores('sink:z')).toEqual(['a', '1'])
      })
    })

    it('report failed records with their place, and an abort', async () => {
      const { results, errors } = await engine.read
        .from([1, 2, 3], { partitions: 3 })
        .map((n) => {
          if (n === 2) throw new TypeError('two')
          return n
        })
        .run({ onError: 'skip' })
      expect(results).toEqual([1, 3])
      expect(errors).toMatchObject([
        { code: 'EXECUTION_RECORD', message: 'map(f) threw TypeError: two', record: 2, place: 'item 0 of split 1' },
      ])
      const execution = await engine.read
        .from([1])
        .map(() => new Promise<number>(() => undefined))
        .start()
      await execution.abort()
      await expect(execution.result()).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
    })
  })
})
