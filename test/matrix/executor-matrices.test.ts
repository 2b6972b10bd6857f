// mill.matrix inside shipped functions: computed in the executor itself, the same as elsewhere.
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connect, type Matrix, type Mill } from '../../src/index.ts'
import { cluster, describeTopologies, raw, standalone, until } from '../fixtures/servers.ts'

let namespaces = 0

/** Cells, products, folds that need a second stage, functions and counts. */
async function valuesOf(a: Matrix, b: Matrix): Promise<unknown> {
  return {
    product: await a
      .matmul(b)
      .add(1)
      .mul(b.sum({ axis: 0 }))
      .neg()
      .toArray(),
    folds: [await a.sum(), await a.min(), await a.max(), await a.mean(), await a.norm(1), await b.trace()],
    rows: await a.mean({ axis: 1 }).toArray(),
    own: await a.aggregate((x, y) => Math.max(x, y), { axis: 0 }).toArray(),
    mapped: await a
      .map((value, row, col) => value * 100 + row * 10 + col)
      .slice(-3)
      .toArray(),
    counts: (await a.gt(5).counts()).map((column) => [...column].sort(([x], [y]) => x - y)),
    equal: await a.T.T.equals(a),
  }
}

describeTopologies('matrices inside shipped functions', (topology) => {
  let mill: Mill
  let namespace: string

  beforeEach(async () => {
    namespace = `me${process.pid}.${namespaces++}`
    // One executor only: what waits inside of it must not need another one.
    mill = await connect(await topology.url(), { executors: 1, namespace })
  })
  afterEach(() => mill.close())

  const saved = async (): Promise<readonly [Matrix, Matrix]> => {
    const whole = async (seed: number): Promise<Matrix> =>
      (await mill.matrix.random(23, 23, { seed, blockSize: 4 })).map((value) => Math.floor(value * 10)).eval()
    return [await (await whole(1)).save('a'), await (await whole(2)).save('b')]
  }

  it('have the values that they have outside', async () => {
    const [a, b] = await saved()
    const [inside] = await mill
      .from([1])
      .map(async () => valuesOf(await mill.matrix.load('a'), await mill.matrix.load('b')))
      .run()
    expect(inside).toEqual(await valuesOf(a, b))
  })

  it('are made and saved there, by functions that know mill.matrix by another name', async () => {
    const { matrix } = mill
    await mill
      .from(['x', 'y'])
      .forEach(async (name) => {
        const made = await matrix.from([
          [1, 2],
          [3, name.length],
        ])
        await made.matmul(matrix.identity(2)).save(name)
      })
      .run()
    expect((await mill.matrix.list()).map(({ name }) => name)).toEqual(['x', 'y'])
    expect(await (await mill.matrix.load('y')).toArray()).toEqual([
      [1, 2],
      [3, 1],
    ])
  })

  it('see what was set since they were read', async () => {
    await (await mill.matrix.from([[1, 2]])).save('m')
    const sum = async (): Promise<number> =>
      (await mill.submit(async () => (await mill.matrix.load('m')).sum())).result()
    expect(await sum()).toBe(3)
    await (await mill.matrix.load('m')).set(0, 1, 5)
    expect(await sum()).toBe(6)
  })

  it('are there in triggers, realms and scripts', async () => {
    await (await mill.matrix.from([[20, 22]])).save('m')
    const add = await mill
      .command('add', async (more: string) => (await (await mill.matrix.load('m')).sum()) + Number(more))
      .register()
    expect(await add.call('1')).toBe(43)
    const realm = mill.realm('matrices')
    expect(await (await realm.submit(async () => (await mill.matrix.load('m')).get(0, 1))).result()).toBe(22)
    expect(await mill.exec("const m = await mill.matrix.load('m'); await m.add(1).sum()")).toBe(44)
    expect(
      await mill.exec("await from([2]).map(async (n) => n * (await (await mill.matrix.load('m')).sum()))"),
    ).toEqual([84])
  })

  it('have blocks of the size that the configuration says', async () => {
    const place = { namespace: `${namespace}.3`, executors: 1, matrix: { blockSize: 3 } }
    await using other = await connect(await topology.url(), place)
    const grid = async (): Promise<readonly number[]> => (await other.matrix.random(7, 2)).blocks
    expect(await grid()).toEqual([3, 1])
    expect(await (await other.submit(async () => (await other.matrix.random(7, 2)).blocks)).result()).toEqual([3, 1])
    const call = await other.command('grid', async () => (await other.matrix.random(7, 2)).blocks).register()
    expect(await call.call()).toEqual([3, 1])
    await call.remove()
    expect(await other.exec('(await mill.matrix.random(7, 2)).blocks')).toEqual([3, 1])
  })

  it('fail with their codes, and those of the client do not travel', async () => {
    const missing = mill.from([1]).map(async () => (await mill.matrix.load('none')).sum())
    await expect(missing.run()).rejects.toMatchObject({ errors: [{ message: expect.stringContaining("'none'") }] })
    const aborted = await mill.submit(async () => {
      const a = await mill.matrix.from([[1]])
      const computing = a.add(2).eval({ signal: AbortSignal.abort() })
      return computing.then(
        () => 'done',
        (error: { readonly code?: unknown }) => error.code,
      )
    })
    expect(await aborted.result()).toBe('EXECUTION_ABORTED')
    const mine = await mill.matrix.from([[1]])
    await expect(
      mill
        .from([1])
        .map(() => mine.sum())
        .run(),
    ).rejects.toMatchObject({ code: 'CAPTURE_PRIVATE' })
  })

  it('leave nothing when the mill is closed', async () => {
    await mill
      .from([1])
      .map(async () => (await mill.matrix.random(9, 9, { blockSize: 4 })).add(1).sum())
      .run()
    await mill.close()
    const servers = topology.kind === 'cluster' ? (await cluster()).nodes : [await standalone()]
    const left = async (): Promise<unknown[]> =>
      (await Promise.all(servers.map((server) => raw(server, 'KEYS', `${namespace}:*:mx:*`)))).flat()
    await until(async () => (await left()).length === 0)
    expect(await left()).toEqual([])
  })
})
