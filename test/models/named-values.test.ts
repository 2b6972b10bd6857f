// Models and tensors as they lie in Redis: small ones in one hash, large ones in parts; replaced and removed without a rest.
import { randomBytes } from 'node:crypto'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { NamedValues, type ValueInfo } from '../../src/models/named-values.ts'
import { Tensors } from '../../src/models/tensors.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'

interface Note extends ValueInfo {
  readonly note: string
}

describeTopologies('named values', (topology) => {
  let deployment: Deployment
  let values: NamedValues<Note>
  beforeAll(async () => {
    deployment = await connectDeployment(await topology.url())
    values = new NamedValues(deployment, 'nv', 'model', () => true)
  })
  afterEach(() => flush())
  afterAll(() => deployment.close())

  const keys = async (): Promise<string[]> => {
    const found = await Promise.all(
      deployment.topology.shards.map(({ id }) => deployment.onShard(id, ['KEYS', '*']) as Promise<string[]>),
    )
    return found.flat().sort()
  }
  const about = (note: string): Omit<Note, keyof ValueInfo> => ({ note })

  it('keep bytes of any size, and give them back as they were', async () => {
    const sizes = [0, 1, 512 * 1024, 512 * 1024 + 1, 1024 * 1024, 3 * 1024 * 1024 + 7]
    for (const size of sizes) {
      const bytes = randomBytes(size)
      const stored = await values.put(`size/${size}`, about(`n${size}`), bytes)
      expect(stored).toMatchObject({ name: `size/${size}`, bytes: size, note: `n${size}` })
      const read = await values.read(`size/${size}`)
      expect(read?.info).toEqual(stored)
      expect(Buffer.compare(read?.bytes ?? Buffer.alloc(0), bytes)).toBe(0)
      expect(await values.info(`size/${size}`)).toEqual(stored)
    }
    expect((await values.list()).map(({ bytes }) => bytes).sort((a, b) => a - b)).toEqual(sizes)
    for (const size of sizes) expect(await values.remove(`size/${size}`)).toBe(true)
    expect(await keys()).toEqual([])
    expect([await values.read('size/1'), await values.info('size/1'), await values.remove('size/1')]).toEqual([
      undefined,
      undefined,
      false,
    ])
  })

  it('are replaced as a whole, and leave nothing of what they were', async () => {
    await values.put('m', about('large'), randomBytes(2_500_000))
    expect((await keys()).length).toBe(2 + 3)
    const bytes = randomBytes(1_500_000)
    await values.put('m', about('smaller'), bytes)
    expect((await keys()).length).toBe(2 + 2)
    expect(Buffer.compare((await values.read('m'))?.bytes ?? Buffer.alloc(0), bytes)).toBe(0)
    await values.put('m', about('small'), Buffer.from('few'))
    expect(await keys()).toEqual(['nv:{gm0}:models', 'nv:{model:m}'])
  })

  it('are one of those that were stored, whoever replaces them meanwhile', async () => {
    const contents = Array.from({ length: 6 }, (_, k) => Buffer.alloc(1_200_000, k))
    await values.put('m', about('0'), contents[0] as Buffer)
    let writing = true
    const writer = (async () => {
      for (const [k, content] of contents.entries()) await values.put('m', about(String(k)), content)
      writing = false
    })()
    let reads = 0
    while (writing) {
      const read = await values.read('m')
      expect(Buffer.compare(read?.bytes ?? Buffer.alloc(0), contents[Number(read?.info.note)] as Buffer)).toBe(0)
      reads++
    }
    await writer
    expect(reads).toBeGreaterThan(0)
  })

  it('say so where a part is gone or is another', async () => {
    await values.put('m', about(''), randomBytes(2_000_000))
    const part = (await keys()).find((key) => key.endsWith(':1')) as string
    await deployment.command(part, ['SETRANGE', part, 5, 'damage'])
    await expect(values.read('m')).rejects.toMatchObject({ code: 'MODEL_DAMAGED' })
    await deployment.command(part, ['DEL', part])
    await expect(values.read('m')).rejects.toMatchObject({ code: 'MODEL_DAMAGED' })
    await expect(values.put('no spaces', about(''), Buffer.alloc(1))).rejects.toMatchObject({ code: 'MODEL_NAME' })
  })

  it('that somebody else wrote to are damaged, until they are stored again or removed', async () => {
    const key = 'nv:{tensor:t}'
    const tensors = new Tensors(deployment, 'nv')
    const damages: (readonly string[][])[] = [
      [['HSET', key, 'info', '{']],
      [['HSET', key, 'info', 'null']],
      [['HSET', key, 'info', '{}']],
      [['HSET', key, 'info', '{"name":"t","hash":"","bytes":1,"dtype":"none","shape":[]}']],
      [
        ['HDEL', key, 'parts', 'upload'],
        ['HSET', key, 'data', 'other'],
      ],
      [
        ['DEL', key],
        ['RPUSH', key, 'other'],
      ],
    ]
    for (const commands of damages) {
      await tensors.set('t', { dtype: 'float32', shape: [1], data: [5] })
      for (const command of commands) await deployment.command(key, command)
      await expect(tensors.get('t')).rejects.toMatchObject({ code: 'MODEL_DAMAGED' })
      expect(await tensors.remove('t')).toBe(true)
      expect(await keys()).toEqual([])
    }
    await deployment.command(key, ['RPUSH', key, 'other'])
    await tensors.set('t', { dtype: 'float32', shape: [1], data: [5] })
    expect((await tensors.get('t'))?.data).toEqual(Float32Array.of(5))
    await tensors.remove('t')
    for (const name of [5n, Symbol('t'), undefined, {}]) {
      await expect(tensors.get(name as string)).rejects.toMatchObject({ code: 'MODEL_NAME' })
    }
  })

  it('can be tensors', async () => {
    const tensors = new Tensors(deployment, 'nv')
    expect(await tensors.get('t')).toBeUndefined()
    await tensors.set('t', { dtype: 'float32', shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) })
    await tensors.set('words', { dtype: 'string', shape: [2], data: ['größer', ''] })
    const large = { dtype: 'float64' as const, shape: [200_000], data: new Float64Array(200_000).fill(0.5) }
    await tensors.set('large', large)
    expect(await tensors.get('t')).toEqual({ dtype: 'float32', shape: [1, 4], data: Float32Array.of(1, 2, 3, 4) })
    expect(await tensors.get('words')).toEqual({ dtype: 'string', shape: [2], data: ['größer', ''] })
    expect(await tensors.get('large')).toEqual(large)
    expect((await tensors.list()).map(({ name, dtype, shape }) => [name, dtype, shape])).toEqual([
      ['large', 'float64', [200_000]],
      ['t', 'float32', [1, 4]],
      ['words', 'string', [2]],
    ])
    await expect(tensors.set('t', { dtype: 'uint8', shape: [1], data: [300] })).rejects.toMatchObject({
      code: 'MODEL_TENSOR',
      message: 'tensor t: expected a whole number from 0 to 255 at position 0, got 300',
    })
    for (const name of ['t', 'words', 'large']) expect(await tensors.remove(name)).toBe(true)
    expect(await keys()).toEqual([])
  })
})
