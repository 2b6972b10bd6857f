// stream(): entries of one stream, or of many.
import { afterAll, beforeAll, expect, it } from 'vitest'
import { describeTopologies, flush } from '../../fixtures/servers.ts'
import { type RealEngine, realEngine } from '../real-engine.ts'

describeTopologies('stream()', (topology) => {
  let engine: RealEngine
  beforeAll(async () => {
    engine = await realEngine(await topology.url(), 2)
    await Promise.all(
      Array.from({ length: 2500 }, (_, i) => engine.command('XADD', 'long', `${i + 1}-1`, 'n', i, 'x', 'ü')),
    )
    await engine.command('XADD', 'twice', '1-1', 'f', 'a', 'f', 'b', '__proto__', 'c')
  })
  afterAll(async () => {
    await engine?.[Symbol.asyncDispose]()
    await flush()
  })

  it('gives all entries in their order', async () => {
    const records = await engine.read.stream('long').run()
    expect(records).toEqual(
      Array.from({ length: 2500 }, (_, i) => ({ key: 'long', id: `${i + 1}-1`, value: { n: String(i), x: 'ü' } })),
    )
  })

  it('gives those of a range of ids', async () => {
    const ids = async (options: object) => (await engine.read.stream('long', options).run()).map(({ id }) => id)
    expect(await ids({ from: '2', to: '4' })).toEqual(['2-1', '3-1', '4-1'])
    expect(await ids({ from: '(2-1', to: '(4-1' })).toEqual(['3-1'])
    expect(await ids({ from: '2499-1' })).toEqual(['2499-1', '2500-1'])
    expect(await ids({ from: '9000' })).toEqual([])
    expect(() => engine.read.stream('long', { from: 'yesterday' })).toThrow(
      expect.objectContaining({ code: 'PLAN_OPTION' }),
    )
  })

  it('keeps fields that occur twice as pairs', async () => {
    const [one] = await engine.read.stream('twice').run()
    expect(Object.entries(one?.value ?? {})).toEqual([
      ['f', 'b'],
      ['__proto__', 'c'],
    ])
    const [raw] = await engine.read.stream('twice', { raw: true }).run()
    expect(raw?.value).toEqual([
      ['f', 'a'],
      ['f', 'b'],
      ['__proto__', 'c'],
    ])
  })

  it('gives nothing of a stream that is not there, and of a pattern all streams that match', async () => {
    expect(await engine.read.stream('missing').run()).toEqual([])
    expect(await engine.read.stream('missing*').run()).toEqual([])
    await engine.command('SET', 'twin', 'no stream')
    const keys = await engine.read
      .stream('[tl]*')
      .countBy(({ key }) => key)
      .sortBy(({ key }) => key)
      .run()
    expect(keys).toEqual([
      { key: 'long', value: 2500 },
      { key: 'twice', value: 1 },
    ])
    await expect(engine.read.stream('twin').run()).rejects.toMatchObject({ code: 'PLAN_KEY_TYPE' })
  })

  it('fails entries that are not UTF-8, or gives bytes', async () => {
    const odd = Buffer.from([0xff])
    await engine.command('XADD', 'odd', '1-1', 'f', odd)
    await engine.command('XADD', 'odd', '1-2', 'f', 'fine')
    const { results, errors } = await engine.read.stream('odd').run({ onError: 'skip' })
    expect(results).toEqual([{ key: 'odd', id: '1-2', value: { f: 'fine' } }])
    expect(errors).toMatchObject([{ code: 'PLAN_ENCODING', place: 'odd 1-1' }])
    const [bytes] = await engine.read.stream('odd', { binary: true }).run()
    expect(bytes?.value).toEqual({ f: new Uint8Array(odd) })
    await engine.command('DEL', 'odd')
  })
})
