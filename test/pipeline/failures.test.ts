// Failed records: reported with what was thrown, where the pipeline was built and where the record came from; the rest goes on.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { ExecutionError } from '../../src/errors.ts'
import { memoryReaders } from './memory-engine.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-failures-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const read = memoryReaders()

describe('a record that fails', () => {
  it('rejects run() with all errors and the good results', async () => {
    const pipeline = read.from([1, 2, 3, 4, 5, 6], { partitions: 2 }).map((n) => {
      if (n % 3 === 0) throw new RangeError(`no ${n}`)
      return n * 10
    })
    const error: unknown = await pipeline.run().catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(ExecutionError)
    if (!(error instanceof ExecutionError)) return
    expect(error.code).toBe('EXECUTION_FAILED')
    expect(error.results).toEqual([10, 20, 40, 50])
    expect(error.errors.map(({ record }) => record)).toEqual([3, 6])
    const [first] = error.errors
    expect(first?.code).toBe('EXECUTION_RECORD')
    expect(first?.message).toBe('map(f) threw RangeError: no 3')
    expect(first?.cause).toMatchObject({ name: 'RangeError', message: 'no 3' })
    // The stack of what was thrown, then that of the place that built the pipeline.
    expect(first?.stack).toContain('RangeError: no 3')
    expect(first?.stack?.split('\n').at(-1)).not.toContain('src/pipeline')
    expect(first?.stack).toContain('failures.test.ts')
    expect(first?.place).toBe('item 2 of split 0')
  })

  it('is given back beside the results where errors are skipped', async () => {
    const values: unknown[] = ['text', null, undefined, { why: 'so' }, 7, Symbol('s')]
    const { results, errors } = await read
      .from([0, 1, 2, 3, 4, 5, 6])
      .with({ thrown: ['text', null, undefined, { why: 'so' }, 7] })
      .map((n, { thrown }) => {
        if (n === 5) throw Symbol('s') as unknown
        if (n < 5) throw thrown[n] as unknown
        return n
      })
      .run({ onError: 'skip' })
    expect(results).toEqual([6])
    expect(errors).toHaveLength(values.length)
    expect(errors.map(({ message }) => message)).toEqual([
      `map(f) threw 'text'`,
      'map(f) threw null',
      'map(f) threw undefined',
      `map(f) threw { why: 'so' }`,
      'map(f) threw 7',
      'map(f) threw Symbol(s)',
    ])
  })

  it('is told of whatever was thrown, however it behaves when it is looked at', async () => {
    const { results, errors } = await read
      .from([0, 1, 2, 3, 4])
      .map((n) => {
        const refuse = (): never => {
          throw new RangeError('hands off')
        }
        if (n === 0) throw Object.assign(new Error('x'), { message: 5, stack: null })
        if (n === 1) throw Object.defineProperty(new Error('x'), 'message', { get: refuse })
        if (n === 2) throw Object.defineProperty(new Error('cause'), 'cause', { get: refuse })
        if (n === 3) throw new Proxy(new Error('x'), { get: refuse, has: refuse, getPrototypeOf: refuse })
        return n
      })
      .run({ onError: 'skip' })
    expect(results).toEqual([4])
    expect(errors.map(({ code }) => code)).toEqual(Array.from({ length: 4 }, () => 'EXECUTION_RECORD'))
    expect(errors[0]?.message).toBe('map(f) threw Error: 5')
    expect(errors[2]?.message).toBe('map(f) threw Error: cause')
  })

  it('keeps the class, code and causes of what was thrown, as far as they travel', async () => {
    const { errors } = await read
      .from([1, 2, 3])
      .map((n) => {
        const inner = Object.assign(new RangeError('inner'), { code: 'ENOENT' })
        if (n === 1) throw new TypeError('outer', { cause: new Error('between', { cause: inner }) })
        if (n === 2)
          throw new (class Own extends Error {
            override name = 'Own'
          })('mine')
        const circle = new Error('circle')
        circle.cause = circle
        throw circle
      })
      .run({ onError: 'skip' })
    const [typed, own, circle] = errors.map(({ cause }) => cause)
    expect(typed).toBeInstanceOf(TypeError)
    expect(Object.prototype.propertyIsEnumerable.call(typed, 'message')).toBe(false)
    const { cause } = typed as Error
    expect(cause).toMatchObject({ name: 'Error', message: 'between' })
    expect((cause as Error).cause).toBeInstanceOf(RangeError)
    expect((cause as Error).cause).toMatchObject({ message: 'inner', code: 'ENOENT' })
    expect(String(own)).toBe('Own: mine')
    expect(own).toBeInstanceOf(Error)
    expect(String(circle)).toBe('Error: circle')
  })

  it('cuts messages that hold what they are about as a whole', async () => {
    const { errors } = await read
      .from([1])
      .map(() => {
        throw new Error('x'.repeat(1_000_000))
      })
      .run({ onError: 'skip' })
    const [error] = errors
    const cause = error?.cause as Error
    for (const text of [error?.message, error?.stack, cause.message, cause.stack]) {
      expect(text?.length).toBeLessThan(100_000)
    }
  })

  it('does not stop others, whichever operation failed, sync or async', async () => {
    const fails = (n: number): boolean => n === 2
    const records = read.from([1, 2, 3])
    const check = async (pipeline: {
      run(options: { onError: 'skip' }): Promise<{ results: unknown[]; errors: unknown[] }>
    }) => {
      const { results, errors } = await pipeline.run({ onError: 'skip' })
      expect(errors).toHaveLength(1)
      return results
    }
    const bad = (n: number): number => {
      if (fails(n)) throw new Error('bad')
      return n
    }
    const later = async (n: number): Promise<number> => bad(n)
    for (const f of [bad as unknown as typeof later, later]) {
      expect(await check(records.map(f))).toEqual([1, 3])
      expect(await check(records.filter(f))).toEqual([1, 3])
      expect(await check(records.forEach(f))).toEqual([1, 3])
      expect(await check(records.flatMap(f))).toEqual([1, 3])
      expect(await check(records.countBy(f).map(({ key }) => key))).toEqual([1, 3])
      expect(await check(records.sortBy(f))).toEqual([1, 3])
      expect(await check(records.sum(f))).toEqual([4])
      expect(await check(records.accumulate(0, (sum, n) => (n === 2 ? (f(n) as never) : sum + n)))).toEqual([4])
      expect(
        await check(
          records.aggregate(
            0,
            (sum, n) => (n === 2 ? (f(n) as never) : sum + n),
            (a, b) => a + b,
          ),
        ),
      ).toEqual([4])
      expect(
        await check(
          records.groupBy(
            () => 'k',
            (sum: number, n) => (n === 2 ? (f(n) as never) : sum + n),
            0,
          ),
        ),
      ).toEqual([{ key: 'k', value: 4 }])
    }
    expect(
      await check(
        records.flatMap(function* (n) {
          yield n
          bad(n)
        }),
      ),
    ).toEqual([1, 3])
    expect(await check(records.sort((a, b) => a - bad(b)).count())).toEqual([3])
  })

  it('names file and line', async () => {
    const path = join(folder, 'in.csv')
    writeFileSync(path, 'id,text\n1,"a\nb"\n2,c\n3,d\n')
    const { errors } = await read
      .files(path, { format: 'csv', splitBytes: 4 })
      .map(({ id }) => {
        if (id !== '1') throw new Error(`row ${id}`)
        return id
      })
      .run({ onError: 'skip' })
    expect(errors.map(({ place }) => place)).toEqual([`${path}:4`, `${path}:5`])
  })

  it('is PLAN_RECORD where it cannot travel', async () => {
    const functions = read.from([1, 2]).map((n) => (n === 1 ? () => n : n))
    for (const pipeline of [
      functions,
      functions.collect(),
      functions.sort(),
      functions.countBy(),
      functions.distinct(),
    ]) {
      const { results, errors } = await pipeline.run({ onError: 'skip' })
      expect(errors.map(({ code }) => code)).toEqual(['PLAN_RECORD'])
      expect(results).toHaveLength(1)
    }
    await expect(read.from([() => 1]).run()).rejects.toMatchObject({ code: 'PLAN_RECORD' })
  })

  it('is what is not text, in text operations', async () => {
    const mixed = read.from(['a b', 5] as string[])
    for (const pipeline of [mixed.split(' '), mixed.split(' ').countBy(), mixed.words().count(), mixed.lower()]) {
      const { errors } = await pipeline.run({ onError: 'skip' })
      expect(errors).toHaveLength(1)
      expect(errors[0]?.record).toBe(5)
    }
  })
})

describe('a crash', () => {
  it('narrows batches to one record, and steps over the one that was found', async () => {
    const calls: number[] = []
    const careful = memoryReaders({
      guard: (index) => {
        calls.push(index)
        return index === 4 ? 0 : 1
      },
    })
    const items = [0, 1, 2, 3, 4, 5, 6]
    expect(
      await careful
        .from(items)
        .map((n) => n)
        .run(),
    ).toEqual([0, 1, 2, 3, 5, 6])
    expect(calls).toEqual(items)
  })
})
