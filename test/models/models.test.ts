// Models on real servers with real executors: stored, run by clients and by shipped functions, in pipelines and in triggers.
import { afterAll, beforeAll, expect, expectTypeOf, it } from 'vitest'
import { silent } from '../../src/engine/logger.ts'
import { connect, type Dtype, type Mill, type Tensor } from '../../src/index.ts'
import { onnxFile } from '../../examples/onnx/onnx-writer.ts'
import { describeTopologies, until } from '../fixtures/servers.ts'
import { linear, lookup, operator, sumAndDifference } from './onnx.ts'

const pair = (...data: number[]): Tensor => ({
  dtype: 'float32',
  shape: [data.length / 2, 2],
  data: Float32Array.from(data),
})

const floats = (tensor: Tensor | undefined): number[] => Array.from((tensor?.data ?? []) as Float32Array)

describeTopologies('models', (topology) => {
  let mill: Mill
  beforeAll(async () => {
    mill = await connect({ url: await topology.url(), executors: 2, logger: silent })
  })
  afterAll(() => mill.close())

  it('are stored by name, with hash, inputs and outputs', async () => {
    const stored = await mill.models.set('m', sumAndDifference)
    expect(stored).toMatchObject({
      name: 'm',
      bytes: sumAndDifference.length,
      inputs: [{ name: 'x', dtype: 'float32', shape: ['N', 2] }],
      outputs: [{ name: 'y', dtype: 'float32', shape: ['N', 2] }],
    })
    expect(stored.hash).toMatch(/^[0-9a-f]{64}$/)
    await mill.models.set('other', lookup)
    expect((await mill.models.list()).map(({ name }) => name)).toEqual(['m', 'other'])
    expect(await mill.models.remove('other')).toBe(true)
    expect(await mill.models.get('m')).toEqual(stored)
    expect(Buffer.compare(await mill.models.bytes('m'), sumAndDifference)).toBe(0)
    expect([await mill.models.remove('m'), await mill.models.remove('m')]).toEqual([true, false])
    expect(await mill.models.get('m')).toBeUndefined()
    await expect(mill.models.set('m', Buffer.from('no model'))).rejects.toMatchObject({ code: 'MODEL_FORMAT' })
    await expect(mill.models.set('a b', sumAndDifference)).rejects.toMatchObject({ code: 'MODEL_NAME' })
  })

  it('run on tensors, for clients and inside shipped functions', async () => {
    await mill.models.set('m', sumAndDifference)
    const expected = { y: pair(13, 19, 17, 19) }
    expect(await mill.models.run('m', { x: pair(1, 2, 3, 4) })).toEqual(expected)
    expect(await mill.models.run('m', { x: { dtype: 'float32', shape: [2, 2], data: [1, 2, 3, 4] } })).toEqual(expected)
    expect(await mill.models.run('m', { x: pair() })).toEqual({ y: pair() })
    await mill.tensors.set('t', pair(5, 6))
    const within = await mill.submit(async () => {
      const t = await mill.tensors.get('t')
      if (t === undefined) throw new TypeError('there is no tensor')
      const { y } = await mill.models.run('m', { x: t })
      await mill.tensors.set('result', y as Tensor)
      return [(await mill.models.list()).length, (await mill.models.get('m'))?.name]
    })
    expect(await within.result()).toEqual([1, 'm'])
    expect(await mill.tensors.get('result')).toEqual(pair(21, 19))
    // What run() makes is gone when it has answered.
    expect((await mill.executions.list()).map(({ id }) => id)).toEqual([within.id])
  })

  it('may be large: they are stored and read in parts', async () => {
    const size = 800
    const diagonal = Array.from({ length: size * size }, (_, at) => (at % (size + 1) === 0 ? 2 : 0))
    const large = linear(size, size, diagonal, new Array<number>(size).fill(1))
    expect(large.length).toBeGreaterThan(2 * 1024 * 1024)
    await mill.models.set('large', large)
    expect(Buffer.compare(await mill.models.bytes('large'), large)).toBe(0)
    const data = Float32Array.from({ length: size }, (_, k) => k)
    const { y } = await mill.models.run('large', { x: { dtype: 'float32', shape: [1, size], data } })
    expect(y?.data).toEqual(data.map((k) => 2 * k + 1))
    expect(await mill.models.remove('large')).toBe(true)
  })

  it('take and give all types that the runtime has', async () => {
    const cases: [Parameters<typeof operator>[1], Tensor['data']][] = [
      ['float32', Float32Array.of(1.5, -2)],
      ['float64', Float64Array.of(1.5, -2)],
      ['float16', Uint16Array.of(0x3c00, 0xc000)],
      ['int32', Int32Array.of(1, -2)],
      ['int64', BigInt64Array.of(1n, -(2n ** 62n))],
      ['uint8', Uint8Array.of(1, 255)],
      ['bool', Uint8Array.of(1, 0)],
      ['string', ['größer', '']],
    ]
    for (const [dtype, data] of cases) {
      await mill.models.set('same', operator('Identity', dtype, ['N']))
      const tensor = { dtype, shape: [2], data } as Tensor
      expect(await mill.models.run('same', { x: tensor })).toEqual({ y: tensor })
    }
  })

  it('refuse what does not fit, saying what was expected and what came', async () => {
    await mill.models.set('m', sumAndDifference)
    await mill.models.set('add', operator('Add', 'float32', ['N', 2], ['z']))
    const double = { dtype: 'float64' as const, shape: [1, 2], data: [1, 2] }
    const refusals: [() => Promise<unknown>, string, RegExp][] = [
      [() => mill.models.run('none', {}), 'MODEL_UNKNOWN', /there is no model none/],
      [() => mill.models.run('m', {}), 'MODEL_INPUT', /input 'x' of model m: expected float32 \[N, 2\], got nothing/],
      [() => mill.models.run('m', { x: double }), 'MODEL_INPUT', /expected float32 \[N, 2\], got float64 \[1, 2\]/],
      [
        () => mill.models.run('m', { x: { dtype: 'float32', shape: [1, 3], data: [1, 2, 3] } }),
        'MODEL_INPUT',
        /expected float32 \[N, 2\], got float32 \[1, 3\]/,
      ],
      [() => mill.models.run('m', { x: pair(1, 2), w: double }), 'MODEL_INPUT', /no input 'w'; it has x/],
      [
        () => mill.models.run('add', { x: pair(1, 2), z: pair(1, 2, 3, 4) }),
        'MODEL_INPUT',
        /input 'z' .* with N = 1, as in another input, got float32 \[2, 2\]/,
      ],
      [() => mill.models.run('m', { x: { ...pair(1, 2), shape: [2, 2] } }), 'MODEL_TENSOR', /4 values .* got 2/],
      [() => mill.models.run('m', { x: pair(1, 2) }, { outputs: ['z'] }), 'MODEL_OUTPUT', /no output 'z'; it has y/],
    ]
    for (const [run, code, message] of refusals) {
      await expect(run()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
    }
    await mill.models.set('lookup', lookup)
    const beyond = { dtype: 'int64' as const, shape: [1], data: [4] }
    await expect(mill.models.run('lookup', { x: beyond })).rejects.toMatchObject({
      code: 'MODEL_RUN',
      message: expect.stringContaining('idx=4'),
    })
    const unknownOperator = operator('NoSuchOperator', 'float32', ['N', 2])
    await mill.models.set('odd', unknownOperator)
    await expect(mill.models.run('odd', { x: pair(1, 2) })).rejects.toMatchObject({ code: 'MODEL_FORMAT' })
  })

  it('predict records in batches, in order', async () => {
    await mill.models.set('m', sumAndDifference)
    const numbers = Array.from({ length: 1000 }, (_, n) => n)
    const predicted = mill.from(numbers, { partitions: 4 }).predict('m', { input: (n) => [n, 1], batch: 64 })
    expectTypeOf(await predicted.run()).toEqualTypeOf<
      { readonly record: number; readonly output: Readonly<Record<string, Tensor>> }[]
    >()
    const results = await predicted.run()
    expect(results.map(({ record }) => record)).toEqual(numbers)
    expect(results[7]).toEqual({
      record: 7,
      output: { y: { dtype: 'float32', shape: [2], data: Float32Array.of(18, 26) } },
    })
    const sums = await predicted
      .map(({ output }) => Number(output.y?.data[0]))
      .sum()
      .run()
    expect(sums).toEqual([numbers.reduce((sum, n) => sum + n + 11, 0)])
    const explained = String(await predicted.explain())
    expect(explained).toContain("predict('m', { batch: 64 })")
  })

  it('predict what inputs are asynchronous, named, tensors, or the records themselves', async () => {
    await mill.models.set('m', sumAndDifference)
    await mill.models.set('add', operator('Add', 'float32', ['N', 2], ['z']))
    const y = (rows: readonly { readonly output: Readonly<Record<string, Tensor>> }[]): number[][] =>
      rows.map(({ output }) => floats(output.y))
    const expected = [
      [13, 19],
      [17, 19],
    ]
    expect(
      y(
        await mill
          .from([
            [1, 2],
            [3, 4],
          ])
          .predict('m')
          .run(),
      ),
    ).toEqual(expected)
    const later = mill.from([1, 3]).predict('m', { input: async (n) => Float32Array.of(n, n + 1) })
    expect(y(await later.run())).toEqual(expected)
    const offset = mill
      .from([1, 3])
      .with({ k: 1 })
      .predict('m', { input: (n, { k }) => ({ x: [n, n + k] }) })
    expect(y(await offset.run())).toEqual(expected)
    const tensors = mill.from([1, 3]).predict('m', {
      input: (n) => ({ x: { dtype: 'float32', shape: [1, 2], data: Float32Array.of(n, n + 1) } }),
    })
    expect(y(await tensors.run())).toEqual(expected)
    const two = mill.from([1, 3]).predict('add', { input: (n) => ({ x: [n, 1], z: [2, 0.5] }) })
    expect(y(await two.run())).toEqual([
      [3, 1.5],
      [5, 1.5],
    ])
  })

  it('predict with models of a fixed number of records, of free sizes, and of scalars', async () => {
    await mill.models.set('four', operator('Neg', 'float32', [4, 2]))
    const six = Array.from({ length: 6 }, (_, n) => [n, n + 1])
    const negated = await mill.from(six).predict('four').run()
    expect(negated.map(({ output }) => floats(output.y))).toEqual(six.map(([a, b]) => [-(a ?? 0), -(b ?? 0)]))
    await mill.models.set('free', operator('Neg', 'float32', ['N', 'length']))
    const ragged = await mill
      .from([[1], [2, 3], [4]])
      .predict('free')
      .run()
    expect(ragged.map(({ output }) => output.y)).toEqual([
      { dtype: 'float32', shape: [1], data: Float32Array.of(-1) },
      { dtype: 'float32', shape: [2], data: Float32Array.of(-2, -3) },
      { dtype: 'float32', shape: [1], data: Float32Array.of(-4) },
    ])
    await mill.models.set('words', operator('Identity', 'string', ['N']))
    const words = await mill.from(['a', 'b']).predict('words').run()
    expect(words.map(({ output }) => output.y)).toEqual(
      ['a', 'b'].map((word) => ({ dtype: 'string', shape: [], data: [word] })),
    )
    // The sum over all records is no record's.
    const total = onnxFile({
      inputs: [{ name: 'x', type: 'float32', shape: ['N', 1] }],
      outputs: [{ name: 'y', type: 'float32', shape: [] }],
      nodes: [{ op: 'ReduceSum', inputs: ['x'], outputs: ['y'], attributes: { keepdims: 0 } }],
    })
    await mill.models.set('total', total)
    const { errors } = await mill
      .from([[1], [2]])
      .predict('total')
      .run({ onError: 'skip' })
    expect(errors.map(({ code }) => code)).toEqual(['MODEL_OUTPUT', 'MODEL_OUTPUT'])
  })

  it('refuse models that take no records, or different numbers of them', async () => {
    const refused = { code: 'MODEL_OUTPUT' }
    await mill.models.set('no-records', operator('Neg', 'float32', [0, 1]))
    await expect(mill.from([1, 2]).predict('no-records').run()).rejects.toMatchObject(refused)
    const value = (name: string, size: number) => ({ name, type: 'float32', shape: [size] }) as const
    const twoAndThree = onnxFile({
      inputs: [value('x', 2), value('z', 3)],
      outputs: [value('y', 2), value('w', 3)],
      nodes: [
        { op: 'Neg', inputs: ['x'], outputs: ['y'] },
        { op: 'Neg', inputs: ['z'], outputs: ['w'] },
      ],
    })
    await mill.models.set('two-and-three', twoAndThree)
    const mixed = mill.from([1]).predict('two-and-three', { input: (n) => ({ x: n, z: n }) })
    await expect(mixed.run()).rejects.toMatchObject(refused)
  })

  it('refuse options, and texts that would be cut', async () => {
    await mill.models.set('m', sumAndDifference)
    const run = (options: unknown) => mill.models.run('m', { x: pair(1, 2) }, options as object)
    await expect(run(null)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    for (const outputs of ['y', [], null])
      await expect(run({ outputs })).rejects.toMatchObject({ code: 'MODEL_OUTPUT' })
    await mill.models.set('text', operator('Identity', 'string', ['N']))
    const text = (...data: string[]): Tensor => ({ dtype: 'string', shape: [data.length], data })
    expect((await mill.models.run('text', { x: text('', 'ü💥') })).y?.data).toEqual(['', 'ü💥'])
    await expect(mill.models.run('text', { x: text('a\0b') })).rejects.toMatchObject({ code: 'MODEL_INPUT' })
    const { results, errors } = await mill.from(['a', 'b\0', 'c']).predict('text').run({ onError: 'skip' })
    expect([results.map(({ record }) => record), errors.map(({ code }) => code)]).toEqual([['a', 'c'], ['MODEL_INPUT']])
  })

  it('fail the records that are to blame, and no others', async () => {
    await mill.models.set('lookup', lookup)
    const rows = Array.from({ length: 100 }, (_, n) => (n === 41 ? 9 : n === 77 ? -9 : n % 4))
    const { results, errors } = await mill
      .from(rows)
      .predict('lookup', {
        input: (n) => {
          if (n === 3) throw new RangeError('three')
          return [n]
        },
        batch: 32,
      })
      .run({ onError: 'skip' })
    expect(results.map(({ output }) => Number(output.y?.data[1]))).toEqual(
      rows.filter((n) => n >= 0 && n < 3).map((n) => n + 0.5),
    )
    const codes = errors.map(({ code, record }) => `${code} ${String(record)}`)
    expect(new Set(codes)).toEqual(new Set(['MODEL_RUN 9', 'MODEL_RUN -9', 'EXECUTION_RECORD 3']))
    const wrong = await mill
      .from([[1, 2], [1]])
      .predict('lookup')
      .run({ onError: 'skip' })
    expect(wrong.errors[0]).toMatchObject({
      code: 'MODEL_INPUT',
      message: expect.stringContaining(
        "input 'x' of model lookup: expected int64 [] for each record (int64 [N]), got 2 values",
      ),
    })
    expect(wrong.results).toHaveLength(1)
    await expect(mill.from([1]).predict('none').run()).rejects.toMatchObject({ code: 'MODEL_UNKNOWN' })
    const options: unknown[] = [{ batch: 0 }, { input: 5 }, { size: 5 }]
    for (const given of options) {
      expect(() => mill.from([1]).predict('lookup', given as object)).toThrow(/predict: expected/)
    }
  })

  it('predict the events of triggers; a model that is replaced counts from the next batch on', async () => {
    const scale = (by: number): Uint8Array => linear(1, 1, [by], [0])
    await mill.models.set('scale', scale(2))
    const trigger = await mill
      .stream('s')
      .predict('scale', { input: ({ value }) => Number(value.n) })
      .write(({ record, output }) => ['HSET', 'scaled', record.value.n ?? '', String(output.y?.data[0])])
      .register({ name: 'scale' })
    const add = (from: number, to: number): Promise<unknown> =>
      Promise.all(Array.from({ length: to - from }, (_, i) => mill.redis.xAdd('s', '*', { n: String(from + i) })))
    await add(0, 100)
    await until(async () => (await trigger.status()).successes === 100)
    await mill.models.set('scale', scale(3))
    await add(100, 200)
    await until(async () => (await trigger.status()).successes === 200)
    const scaled = await mill.redis.hGetAll('scaled')
    const expected = Array.from({ length: 200 }, (_, i) => [String(i), String((i < 100 ? 2 : 3) * i)])
    expect(scaled).toEqual(Object.fromEntries(expected))
    expect((await trigger.status()).failures).toBe(0)
    await trigger.remove()
  })
})

it('has names for dtypes in its types', () => {
  expectTypeOf<Tensor<'float32'>['data']>().toEqualTypeOf<Float32Array>()
  expectTypeOf<'bfloat16'>().toExtend<Dtype>()
})
