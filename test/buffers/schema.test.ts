import { describe, expect, expectTypeOf, it } from 'vitest'
import {
  any,
  bool,
  buildArray,
  bytes,
  date,
  datetime,
  decimal,
  dict,
  f32,
  f64,
  i16,
  i32,
  i64,
  i8,
  list,
  ndarray,
  nullable,
  openArray,
  openMap,
  optional,
  ref,
  set,
  str,
  struct,
  tuple,
  u16,
  u32,
  u64,
  u8,
  type NdArray,
  type Schema,
} from '../../src/buffers/index.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()

interface Tree {
  value: number
  left?: Tree
  right?: Tree
}
const tree: Schema<Tree> = struct('Tree', {
  value: i32,
  left: optional(ref((): Schema<Tree> => tree)),
  right: optional(ref((): Schema<Tree> => tree)),
})

const Movie = struct('Movie', {
  id: u32,
  title: str,
  tags: list(str),
  rating: optional(f64),
  year: nullable(u16),
  big: optional(nullable(i64)),
  extra: any,
})

describe('types', () => {
  it('are inferred from schemas', () => {
    expectTypeOf<typeof Movie.type>().toEqualTypeOf<{
      id: number
      title: string
      tags: string[]
      year: number | null
      extra: unknown
      rating?: number
      big?: bigint | null
    }>()
    expectTypeOf(u64.type).toEqualTypeOf<bigint>()
    expectTypeOf(bytes.type).toEqualTypeOf<Uint8Array>()
    expectTypeOf(date.type).toEqualTypeOf<Date>()
    expectTypeOf(decimal.type).toEqualTypeOf<string>()
    const pair = tuple(str, set(i8), dict(u8, bool))
    expectTypeOf(pair.type).toEqualTypeOf<[string, Set<number>, Map<number, boolean>]>()
    const named = dict(f32)
    expectTypeOf(named.type).toEqualTypeOf<Map<string, number>>()
    expectTypeOf(ndarray.type).toEqualTypeOf<NdArray>()
    const floats = ndarray('f32')
    expectTypeOf(floats.type).toEqualTypeOf<NdArray<Float32Array<ArrayBuffer>>>()
  })

  it('flow to arrays, views, cursors and maps', () => {
    const check = () => {
      const movies = openArray('x', Movie)
      expectTypeOf(movies.get(0)).toEqualTypeOf<typeof Movie.type>()
      expectTypeOf(movies.at(0).tags).toEqualTypeOf<readonly string[]>()
      expectTypeOf(movies.at(0).rating).toEqualTypeOf<number | undefined>()
      expectTypeOf(movies.cursor().moveTo(1).title).toEqualTypeOf<string>()
      expectTypeOf(movies.cursor().as(tree).left?.right?.value).toEqualTypeOf<number | undefined>()
      for (const movie of movies.scan()) expectTypeOf(movie.id).toEqualTypeOf<number>()
      // @ts-expect-error views of read-only buffers cannot be assigned
      movies.at(0).id = 1
      openArray('x', Movie, { writable: true }).at(0).id = 1
      expectTypeOf(openMap('x', { key: str, value: Movie }).get('a')).toEqualTypeOf<typeof Movie.type | undefined>()
      expectTypeOf(openMap<string, number>('x').getAll('a')).toEqualTypeOf<number[]>()
      // @ts-expect-error an attribute is missing
      void buildArray('x', Movie, [{ id: 1 }])
      // @ts-expect-error only attributes can be optional
      list(optional(u8))
    }
    expect(check).toBeTypeOf('function')
  })
})

describe('struct', () => {
  it('refuses what is no schema', () => {
    expect(codeOf(() => struct('S', { a: 5 as never }))).toBe('BUFFER_SCHEMA')
    expect(codeOf(() => struct('', {}))).toBe('BUFFER_SCHEMA')
    expect(codeOf(() => struct('S', JSON.parse('{"__proto__": 1}') as never))).toBe('BUFFER_SCHEMA')
    expect(codeOf(() => list(optional(u8) as never))).toBe('BUFFER_SCHEMA')
    expect(codeOf(() => set(struct('S', { a: ref(() => tree) })))).toBe('BUFFER_SCHEMA')
    expect(codeOf(() => ndarray('f16' as never))).toBe('BUFFER_SCHEMA')
    expect(codeOf(() => ref(() => list(u8)).toString())).toBe('BUFFER_SCHEMA')
  })

  it('is described as it is written', () => {
    expect(String(list(nullable(dict(str, tuple(u8, Movie)))))).toBe('list(nullable(dict(str, tuple(u8, Movie))))')
    expect(String(ndarray('f32'))).toBe("ndarray('f32')")
    expect(String(optional(bytes))).toBe('optional(bytes)')
  })
})

describe('values that do not fit', () => {
  it.each([
    ['u8', u8, 256, '[0]: expected u8 (0 to 255), got 256'],
    ['i16', i16, 1.5, '[0]: expected i16 (-32768 to 32767), got 1.5'],
    ['u64', u64, -1n, '[0]: expected u64'],
    ['i64', i64, 2 ** 53, '[0]: expected i64'],
    ['bool', bool, 1, '[0]: expected bool, got 1'],
    ['str', str, null, '[0]: expected a string, got null'],
    ['list', list(u8), [1, 'x'], '[0][1]: expected u8, got "x"'],
    ['nested', list(Movie), [{ id: 1, title: 5 }], '[0][0].title: expected a string, got 5'],
    ['absent', Movie, { id: 1 }, '[0].title: expected a string, got undefined'],
    ['any', any, { a: [1, { b: () => 1 }] }, '[0].a[1].b: expected a value that can be stored, got a function'],
    ['class', any, new URL('http://x'), '[0]: expected a plain object, got a URL'],
    ['date', date, new Date(5), '[0]: expected a Date at midnight UTC'],
    ['datetime', datetime, new Date(NaN), '[0]: expected a valid Date'],
    ['decimal', decimal, 'x', '[0]: expected a decimal number such as \'-12.50\', got "x"'],
    ['shape', ndarray, { shape: [2], data: new Uint8Array(3) }, '[0]: expected a shape whose product is 3'],
    ['dtype', ndarray('f32'), new Float64Array(1), '[0]: expected { shape, data } with Float32Array'],
    ['map key', dict(u8, u8), new Map([['x', 1]]), '[0][x]: expected u8, got "x"'],
  ] as [string, Schema<unknown>, unknown, string][])('%s', async (_name, schema, value, message) => {
    const built = buildArray(path(), schema, [value])
    await expect(built).rejects.toMatchObject({ code: 'BUFFER_VALUE' })
    await expect(built).rejects.toThrow(message)
  })

  it('nesting that would overflow a stack', async () => {
    let deep: unknown = 1
    for (let index = 0; index < 100_000; index++) deep = [deep]
    await expect(buildArray(path(), any, [deep])).rejects.toMatchObject({ code: 'BUFFER_VALUE' })
  })
})

describe('references', () => {
  it('come back as they were: cycles, shared objects, long chains', async () => {
    const file = path()
    const loop: Tree = { value: 1 }
    loop.left = { value: 2, right: loop }
    loop.right = loop.left
    let chain: Tree = { value: 0 }
    for (let value = 1; value < 100_000; value++) chain = { value, left: chain }
    await buildArray(file, tree, [loop, chain])
    const array = openArray(file, tree)
    const copy = array.get(0)
    expect(copy.left?.right).toBe(copy)
    expect(copy.right).toBe(copy.left)
    expect(array.at(0).left?.right?.left?.value).toBe(2)
    let length = 0
    for (let node: Tree | undefined = array.get(1); node; node = node.left) length++
    expect(length).toBe(100_000)
    array.close()
  })

  it('in values of type any', async () => {
    const file = path()
    const value: Record<string, unknown> = { list: [1] }
    value['self'] = value
    value['again'] = value['list']
    value['map'] = new Map([['set', new Set([value])]])
    await buildArray(file, any, [value])
    const copy = openArray<typeof value>(file).get(0)
    expect(copy['self']).toBe(copy)
    expect(copy['again']).toBe(copy['list'])
    expect([...(copy['map'] as Map<string, Set<unknown>>).get('set')!][0]).toBe(copy)
  })

  it('hold large lists, and blobs that are shared', async () => {
    const file = path()
    const Big = struct('Big', { bits: list(u8), blobs: list(bytes) })
    const blob = new Uint8Array(2 ** 20).fill(7)
    const bits = Array.from({ length: 9_000_000 }, (_, index) => index & 1)
    await buildArray(file, Big, [{ bits, blobs: Array.from({ length: 500 }, () => blob) }])
    const array = openArray(file, Big)
    expect(array.bytes).toBeLessThan(11_000_000)
    const copy = array.get(0)
    expect([copy.bits.length, copy.bits[8_999_999], copy.blobs.length]).toEqual([9_000_000, 1, 500])
    expect(copy.blobs[499]).toBe(copy.blobs[0])
  })

  it('are stored once when interning, and strings too', async () => {
    const [apart, together] = [path(), path()]
    const Row = struct('Row', { name: str, tree })
    const shared: Tree = { value: 1, left: { value: 2 } }
    const rows = Array.from({ length: 1000 }, () => ({ name: 'a name that is not so short', tree: shared }))
    await buildArray(apart, Row, rows)
    await buildArray(together, Row, rows, { intern: true })
    const array = openArray(together, Row)
    expect(array.bytes).toBeLessThan(openArray(apart).bytes / 3)
    expect(array.get(999)).toEqual(rows[999])
  })

  it('of objects that are gone are never mistaken for others', async () => {
    const file = path()
    const Row = struct('Row', { point: struct('Point', { x: f64, y: f64 }), text: str })
    const count = 300_000
    function* fresh() {
      for (let x = 0; x < count; x++) yield { point: { x, y: -x }, text: `row ${x % 1000}` }
    }
    await buildArray(file, Row, fresh(), { intern: true })
    const array = openArray(file, Row)
    let wrong = 0
    let place = 0
    for (const row of array.scan()) {
      if (row.point.x !== place || row.point.y !== -place || row.text !== `row ${place % 1000}`) wrong++
      place++
    }
    expect([wrong, place]).toEqual([0, count])
  })
})

describe('a source that yields one object again and again', () => {
  it('is stored as what it was each time', async () => {
    const file = path()
    const Row = struct('Row', { id: u32, name: str, extra: any })
    function* source() {
      const row = { id: 0, name: '', extra: [0] as unknown }
      for (let id = 0; id < 100; id++) yield Object.assign(row, { id, name: `row ${id}`, extra: [id] })
    }
    for (const intern of [false, true]) {
      await buildArray(file, Row, source(), { intern })
      const array = openArray(file, Row)
      expect([...array].map(({ id, name }) => `${id} ${name}`)).toEqual(Array.from({ length: 100 }, (_, id) => `${id} row ${id}`)) // prettier-ignore
      array.close()
    }
  })
})

describe('versions of a schema', () => {
  const V1 = struct('Movie', { id: u16, title: str, old: u8, place: struct('Place', { x: i16, y: i16 }) })

  it('read what both know', async () => {
    const V2 = struct('Movie', {
      year: optional(u16),
      title: str,
      id: u32,
      place: optional(struct('Place', { y: i32, z: optional(f64) })),
    })
    const file = path()
    await buildArray(file, V1, [{ id: 1, title: 'Alien', old: 3, place: { x: 1, y: -2 } }])
    const array = openArray(file, V2)
    expect(array.get(0)).toEqual({ id: 1, title: 'Alien', place: { y: -2 } })
    expect([array.at(0).year, array.at(0).place?.z, array.at(0).place?.y]).toEqual([undefined, undefined, -2])
    expect(JSON.stringify(array.at(0))).toBe('{"title":"Alien","id":1,"place":{"y":-2}}')
    const cursor = array.cursor()
    cursor.moveTo(0)
    expect(cursor.as(struct('Other', { old: u8 })).old).toBe(3)
    expect(String(array.schema)).toBe('Movie')
  })

  it('refuse types that cannot hold what is stored', async () => {
    const file = path()
    await buildArray(file, V1, [])
    const open = (schema: Schema<unknown>) => codeOf(() => openArray(file, schema))
    expect(open(struct('Movie', { title: u32 }))).toBe('BUFFER_SCHEMA')
    expect(open(struct('Movie', { id: u8 }))).toBe('BUFFER_SCHEMA')
    expect(open(struct('Movie', { id: i16 }))).toBe('BUFFER_SCHEMA')
    expect(open(struct('Movie', { id: u64 }))).toBe('BUFFER_SCHEMA')
    expect(open(struct('Movie', { place: list(i16) }))).toBe('BUFFER_SCHEMA')
    expect(open(str)).toBe('BUFFER_SCHEMA')
    expect(open(struct('Movie', { id: f64, title: any }))).toBeUndefined()
  })

  it('check the targets of references at once', async () => {
    const file = path()
    await buildArray(file, tree, [])
    interface Other {
      value: string
      left?: Other
    }
    const other: Schema<Other> = struct('Tree', { value: str, left: optional(ref((): Schema<Other> => other)) })
    const holder = struct('Tree', { left: optional(ref((): Schema<Other> => other)) })
    expect(codeOf(() => openArray(file, holder))).toBe('BUFFER_SCHEMA')
  })
})
