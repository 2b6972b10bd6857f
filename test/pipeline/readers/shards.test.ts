// Readers that run once for each shard.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { describeTopologies, flush } from '../../fixtures/servers.ts'
import { type RealEngine, realEngine } from '../real-engine.ts'

describeTopologies('a reader of each shard', (topology) => {
  let engine: RealEngine
  const shards = topology.kind === 'cluster' ? 3 : 1
  beforeAll(async () => {
    engine = await realEngine(await topology.url(), 2)
  })
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]()
    await flush()
  })

  it('shards() names them', async () => {
    const found = await engine.read.shards().run()
    expect(found).toEqual(engine.deployment.topology.shards.map(({ id, host, port }) => ({ id, host, port })))
    expect(found.length).toBe(shards)
    expect((await engine.read.shards().explain()).stages[0]).toMatchObject({ tasks: shards })
  })

  describe('generate(f)', () => {
    it('gives what generators, arrays and promises of them give', async () => {
      const numbers = Array.from({ length: 1000 }, (_, i) => i)
      const each = numbers.flatMap((n) => Array.from({ length: shards }, () => n))
      const made = [
        engine.read.generate(function* () {
          for (let i = 0; i < 1000; i++) yield i
        }),
        engine.read.generate(async function* () {
          for (let i = 0; i < 1000; i++) {
            if (i % 400 === 0) await new Promise((resolve) => setImmediate(resolve))
            yield i
          }
        }),
        engine.read.generate(() => Array.from({ length: 1000 }, (_, i) => i)),
        engine.read.generate(async () => new Set(Array.from({ length: 1000 }, (_, i) => i))),
      ]
      for (const pipeline of made) expect(await pipeline.sort().run()).toEqual(each)
      const ids = await engine.read.generate((shard) => [shard.id]).run()
      expect(ids).toEqual(engine.deployment.topology.shards.map(({ id }) => id))
    })

    it('pulls no more than is wanted, and closes what it pulled from', async () => {
      const endless = engine.read.generate(function* (): Generator<number> {
        for (let i = 0; ; i++) yield i
      })
      expect(await endless.limit(3).run()).toEqual([0, 1, 2])
    })

    it('ends with the execution', async () => {
      const execution = await engine.read
        .generate(function* (): Generator<number> {
          for (let i = 0; ; i++) yield i
        })
        .filter(() => false)
        .start()
      await execution.abort()
      await expect(execution.result()).rejects.toMatchObject({ code: 'EXECUTION_ABORTED' })
    })

    it('keeps what came before an error', async () => {
      const { results, errors } = await engine.read
        .generate(function* () {
          yield 1
          yield 2
          throw new RangeError('no more')
        })
        .run({ onError: 'skip' })
      expect(results.length).toBe(2 * shards)
      expect(errors.length).toBe(shards)
      expect(errors[0]).toMatchObject({ code: 'EXECUTION_RECORD' })
      expect(errors[0]?.place).toMatch(/^shard .*, item 2$/)
    })

    it('refuses a function that gives nothing to iterate', async () => {
      for (const made of [() => 42, () => undefined, () => 'text', () => ({})]) {
        // @ts-expect-error what the compiler refuses comes from JavaScript
        const { results, errors } = await engine.read.generate(made).run({ onError: 'skip' })
        expect(results).toEqual([])
        expect(errors.map(({ code }) => code)).toEqual(Array.from({ length: shards }, () => 'PLAN_OPTION'))
      }
      // @ts-expect-error no function
      expect(() => engine.read.generate([1])).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    })
  })
})
