import { chmodSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { inspect } from 'node:util'
import { crc32 } from 'node:zlib'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  any,
  bufferWriter,
  buildArray,
  bytes,
  date,
  dict,
  f64,
  i64,
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
  u32,
  type Schema,
} from '../../src/buffers/index.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const Movie = struct('Movie', { id: u32, title: str, tags: list(str), rating: optional(f64), extra: any })
type Movie = typeof Movie.type
const movies: readonly Movie[] = Array.from({ length: 1000 }, (_, id) => ({
  id,
  title: `Movie ${id}`,
  tags: Array.from({ length: id % 5 }, (_unused, tag) => `tag ${tag}`),
  ...(id % 3 === 0 ? {} : { rating: id / 100 }),
  extra: id % 2 === 0 ? { nested: [id] } : null,
}))

async function opened(options: { readonly segmentBytes?: number } = {}) {
  const file = path()
  expect(await buildArray(file, Movie, movies, { intern: true, ...options })).toBe(1000)
  return openArray(file, Movie)
}

describe('an array', () => {
  it.each([4096, 2 ** 30])('reads by place, cursor and scan, with segments of %i bytes', async (segmentBytes) => {
    const array = await opened({ segmentBytes })
    expect(array.length).toBe(1000)
    expect(array.at(5).title).toBe('Movie 5')
    expect(array.get(-1)).toEqual(movies[999])
    expect(array.at(-1000).id).toBe(0)
    const cursor = array.cursor()
    fc.assert(
      fc.property(fc.integer({ min: -1000, max: 999 }), (place) => {
        const expected = movies.at(place)
        const view = cursor.moveTo(place)
        expect([view.id, view.title, view.rating, view.extra]).toEqual([
          expected?.id,
          expected?.title,
          expected?.rating,
          expected?.extra,
        ])
        expect(view.tags).toEqual(expected?.tags)
      }),
    )
    let total = 0
    for (const movie of array.scan()) total += movie.rating ?? 0
    expect(total).toBeCloseTo(movies.reduce((sum, movie) => sum + (movie.rating ?? 0), 0))
    expect([...array].map((view) => view.id)).toEqual(movies.map(({ id }) => id))
    array.close()
  })

  it('has one class of views, however often it is opened', async () => {
    const array = await opened()
    const again = openArray(array.path, Movie)
    const bare = openArray(array.path)
    const classes = [array, again, bare].map((opened) => Object.getPrototypeOf(opened.at(0)) as object)
    expect([classes[0] === classes[1], classes[0] === classes[2]]).toEqual([true, false])
  })

  it('re-points one view in scans and cursors, and makes views of their own elsewhere', async () => {
    const array = await opened()
    const cursor = array.cursor()
    const first = cursor.moveTo(1)
    expect(cursor.moveTo(2)).toBe(first)
    expect(first.id).toBe(2)
    expect(array.at(1)).not.toBe(array.at(1))
    expect(new Set(array.scan()).size).toBe(1)
    expect(codeOf(() => array.cursor().as(Movie))).toBe('BUFFER_RANGE')
  })

  it.each([1000, -1001, 0.5, NaN, Infinity])('has nothing at %d', async (place) => {
    const array = await opened()
    for (const read of [() => array.at(place), () => array.get(place), () => array.cursor().moveTo(place)]) {
      expect(codeOf(read)).toBe('BUFFER_RANGE')
    }
  })

  it('takes async iterables, and ends them when it fails', async () => {
    let ended = false
    async function* source() {
      try {
        yield movies[0] as Movie
        yield { id: 'no' } as never
      } finally {
        ended = true
      }
    }
    const file = path('async')
    await expect(buildArray(file, Movie, source())).rejects.toMatchObject({ code: 'BUFFER_VALUE' })
    expect([ended, existsSync(file)]).toEqual([true, false])
    expect(readdirSync(dirname(file)).filter((name) => name.includes('async'))).toEqual([])
  })

  it('is built until it is aborted', async () => {
    const file = path('aborted')
    const stop = new AbortController()
    function* endless() {
      for (let id = 0; ; id++) {
        if (id === 10_000) stop.abort()
        yield id
      }
    }
    await expect(buildArray(file, u32, endless(), { signal: stop.signal })).rejects.toThrow('aborted')
    expect(readdirSync(dirname(file)).filter((name) => name.includes('aborted'))).toEqual([])
  })

  it('holds values of any schema', async () => {
    const file = path()
    await buildArray(file, u32, [3, 1, 2])
    const numbers = openArray(file, u32)
    expect([...numbers.scan()]).toEqual([3, 1, 2])
    expect([numbers.at(1), numbers.get(2), numbers.cursor().moveTo(0)]).toEqual([1, 2, 3])
    await buildArray(file, str, [])
    expect([...openArray(file, str).scan()]).toEqual([])
  })
})

describe('a writer', () => {
  it('takes one object at a time, and goes on after one that does not fit', async () => {
    const file = path()
    const writer = bufferWriter(file, Movie)
    writer.append(movies[1] as Movie)
    expect(codeOf(() => writer.append({ id: 1, title: 'x', tags: [5] } as never))).toBe('BUFFER_VALUE')
    writer.append(movies[2] as Movie)
    expect([writer.length, existsSync(file)]).toEqual([2, false])
    await writer.close()
    const array = openArray(file, Movie, { verify: 'all' })
    expect([array.get(0), array.get(1), array.length]).toEqual([movies[1], movies[2], 2])
    expect(codeOf(() => writer.append(movies[0] as Movie))).toBe('BUFFER_CLOSED')
    await expect(writer.close()).rejects.toMatchObject({ code: 'BUFFER_CLOSED' })
  })

  it.runIf(process.getuid?.() !== 0)('writes into a folder that it may not read', async () => {
    const folder = path('folder')
    mkdirSync(folder, { mode: 0o333 })
    await buildArray(join(folder, 'file.gmb'), u32, [1])
    expect(openArray(join(folder, 'file.gmb'), u32).get(0)).toBe(1)
    chmodSync(folder, 0o700)
  })

  it('leaves what was there when it gives up', async () => {
    const file = path()
    await buildArray(file, u32, [1])
    const writer = bufferWriter(file, u32)
    writer.append(2)
    writer.abort()
    expect(openArray(file, u32).get(0)).toBe(1)
    expect(readdirSync(dirname(file)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('tells when an object is larger than a segment, or the file cannot be written', async () => {
    const writer = bufferWriter(path(), str, { segmentBytes: 4096 })
    expect(codeOf(() => writer.append('x'.repeat(4096)))).toBe('BUFFER_TOO_LARGE')
    writer.abort()
    expect(codeOf(() => bufferWriter(path(), str, { segmentBytes: 100 }))).toBe('BUFFER_OPTION')
    expect(codeOf(() => bufferWriter('/nowhere/at/all', str))).toBe('BUFFER_FILE')
  })
})

describe('views', () => {
  const Things = struct('Things', {
    list: list(u32),
    set: set(str),
    dict: dict(str, list(u32)),
    bytes,
    matrix: ndarray,
    big: i64,
    inner: list(struct('Inner', { a: u32 })),
  })
  const things: typeof Things.type = {
    list: Array.from({ length: 200 }, (_, index) => index * 2),
    set: new Set(Array.from({ length: 50 }, (_, index) => `member ${index}`)),
    dict: new Map(Array.from({ length: 50 }, (_, index) => [`key ${index}`, [index]])),
    bytes: Uint8Array.of(1, 2, 3),
    matrix: { shape: [2, 2], data: Float64Array.of(1, 2, 3, 4) },
    big: 2n ** 40n,
    inner: [{ a: 1 }, { a: 2 }],
  }

  async function view() {
    const file = path()
    await buildArray(file, Things, [things])
    return openArray(file, Things).at(0)
  }

  it('of lists are read-only arrays', async () => {
    const { list: long, inner } = await view()
    expect(Array.isArray(long)).toBe(true)
    expect(long).toEqual(things.list)
    expect([long.length, long[3], long[199], long[200], long.at(-1), 5 in long, 500 in long]).toEqual([200, 6, 398, undefined, 398, true, false]) // prettier-ignore
    expect(long.map((value) => value + 1)).toEqual(things.list.map((value) => value + 1))
    expect([long.indexOf(10), long.includes(11), long.slice(-2), [...long].length]).toEqual([5, false, [396, 398], 200])
    expect(JSON.stringify(long)).toBe(JSON.stringify(things.list))
    expect(Object.keys(long).length).toBe(200)
    expect(() => ((long as number[])[0] = 1)).toThrow(TypeError)
    expect(() => (long as number[]).push(1)).toThrow(TypeError)
    expect(inner.map(({ a }) => a)).toEqual([1, 2])
    expect(() => ((inner as unknown as { a: number }[]).length = 0)).toThrow(TypeError)
  })

  it('of sets read as sets', async () => {
    const { set: members } = await view()
    expect([members.size, members.has('member 7'), members.has('member x'), members.has(5 as never)]).toEqual([50, true, false, false]) // prettier-ignore
    expect([...members]).toEqual([...things.set])
    expect(new Set(members)).toEqual(things.set)
    const visited: string[] = []
    members.forEach((value) => visited.push(value))
    expect(visited).toEqual([...things.set])
    expect(inspect(members)).toBe(inspect(things.set))
  })

  it.each([3, 30])('of sets and dicts of %i find members of any type by content, and no others', async (count) => {
    const members = {
      dates: (index: number) => new Date(index * 86_400_000),
      tuples: (index: number): [string, number] => [`t${index}`, index % 7],
      structs: (index: number) => ({ a: index, b: `b${index}` }),
      anything: (index: number) => [index, { index }, `s${index}`, BigInt(index)][index % 4],
      floats: (index: number) => index / 3,
      nulls: (index: number) => (index === 1 ? null : index),
    }
    const Inner = struct('Inner', { a: u32, b: str })
    const Sets = struct('Sets', {
      dates: set(date),
      tuples: set(tuple(str, u32)),
      structs: dict(Inner, u32),
      anything: set(any),
      floats: set(f64),
      nulls: set(nullable(u32)),
    })
    const all = <T>(make: (index: number) => T) => Array.from({ length: count }, (_, index) => make(index))
    const value: typeof Sets.type = {
      dates: new Set(all(members.dates)),
      tuples: new Set(all(members.tuples)),
      structs: new Map(all((index) => [members.structs(index), index])),
      anything: new Set(all(members.anything)),
      floats: new Set(all(members.floats)),
      nulls: new Set(all(members.nulls)),
    }
    const file = path()
    await buildArray(file, Sets, [value])
    const view = openArray(file, Sets).at(0)
    for (const [name, make] of Object.entries(members)) {
      const keyed = view[name as keyof typeof members] as { has(value: unknown): boolean }
      const found = Array.from({ length: count + 20 }, (_, index) => keyed.has(make(index)))
      expect([name, found.indexOf(false), found.lastIndexOf(true)]).toEqual([name, count, count - 1])
    }
    expect(view.structs.get({ a: 2, b: 'b2' })).toBe(2)
    expect(view.floats.has(NaN)).toBe(false)
  })

  it('of dicts read as maps', async () => {
    const { dict: entries } = await view()
    expect([entries.size, entries.get('key 7'), entries.get('nothing'), entries.has('key 49')]).toEqual([50, [7], undefined, true]) // prettier-ignore
    expect(new Map(entries)).toEqual(things.dict)
    expect([...entries.keys()]).toEqual([...things.dict.keys()])
    expect([...entries.values()]).toEqual([...things.dict.values()])
  })

  it('of bytes and typed arrays are the map itself, and plain copies are not', async () => {
    const file = path()
    await buildArray(file, Things, [things])
    const array = openArray(file, Things)
    expect(array.at(0).bytes.buffer).toBe(array.at(0).matrix.data.buffer)
    const copy = array.get(0)
    // What a reader writes stays in its own process.
    array.at(0).bytes[0] = 99
    expect(openArray(file, Things).at(0).bytes[0]).toBe(1)
    array.close()
    expect(copy).toEqual(things)
  })

  it('have JSON, inspection and the plain object behind them', async () => {
    const array = await opened()
    expect(JSON.parse(JSON.stringify(array.at(4)))).toEqual(JSON.parse(JSON.stringify(movies[4])))
    expect(inspect(array.at(4))).toBe(inspect(array.get(4)))
    expect(array.at(4).get()).toEqual(movies[4])
    expect(inspect(array)).toMatch(/^BufferArray \{ .*, 1000 x Movie \}$/)
    expect(JSON.parse(JSON.stringify(await view()))).toEqual({
      ...things,
      set: [...things.set],
      dict: Object.fromEntries(things.dict),
      bytes: 'AQID',
      matrix: { shape: [2, 2], data: [1, 2, 3, 4] },
      big: '1099511627776',
    })
  })

  it('can be packed as the objects that they show', async () => {
    const array = await opened()
    const file = path()
    await buildArray(file, Movie, array.scan() as Iterable<Movie>)
    expect(openArray(file, Movie).get(7)).toEqual(movies[7])
    const things2 = path()
    await buildArray(things2, Things, [(await view()) as unknown as typeof Things.type])
    expect(openArray(things2, Things).get(0)).toEqual(things)
    interface Linked {
      value: number
      next?: Linked
    }
    const linked: Schema<Linked> = struct('Linked', { value: u32, next: optional(ref((): Schema<Linked> => linked)) })
    await buildArray(file, linked, [{ value: 1 }, { value: 2 }])
    await buildArray(file, linked, openArray(file, linked).scan() as Iterable<Linked>, { intern: true })
    expect([...openArray(file, linked)].map(({ value }) => value)).toEqual([1, 2])
    await buildArray(file, any, [array.at(4)])
    expect(openArray(file, any).get(0)).toEqual(movies[4])
  })

  it('of attributes with the names of every object', async () => {
    const Odd = struct('Odd', { constructor: optional(u32), toString: optional(u32), get: optional(u32) })
    const file = path()
    await buildArray(file, Odd, [{} as never, { constructor: 1, toString: 2, get: 3 } as never])
    const array = openArray(file, Odd)
    expect(Object.keys(array.get(0))).toEqual([])
    expect({ ...array.get(1) }).toEqual({ constructor: 1, toString: 2, get: 3 })
    expect([array.at(1).toString, array.at(1).get]).toEqual([2, 3])
    const again = path()
    await buildArray(again, struct('More', { get: optional(u32), toJSON: optional(u32) }), [array.at(0) as never])
    expect(Object.keys(openArray(again).get(0))).toEqual([])
  })
})

describe('close', () => {
  it('makes every later use an error, and nothing worse', async () => {
    const array = await opened()
    const view = array.at(4)
    const { tags } = view
    const cursor = array.cursor()
    const scan = array.scan()
    cursor.moveTo(4)
    scan.next()
    const things = path()
    await buildArray(things, bytes, [new Uint8Array(100_000).fill(1)])
    const raw = openArray(things, bytes)
    const data = raw.at(0)
    raw.close()
    array.close()
    array.close()
    const uses: (() => unknown)[] = [
      () => view.id,
      () => view.title,
      () => view.tags,
      () => view.rating,
      () => view.extra,
      () => JSON.stringify(view),
      () => cursor.moveTo(4),
      () => cursor.moveTo(5).id,
      () => cursor.as(Movie).id,
      () => scan.next(),
      () => array.at(0),
      () => array.get(0),
      () => array.scan(),
      () => array.cursor(),
      () => [...array],
      () => array.verify(),
    ]
    expect(uses.map(codeOf)).toEqual(uses.map(() => 'BUFFER_CLOSED'))
    expect(tags).toEqual(movies[4]?.tags)
    // Zero pages, or a detached array where the engine can.
    expect([0, undefined]).toContain(data[50_000])
    expect(array.closed).toBe(true)
  })
})

describe('opening', () => {
  it('refuses a schema that is nested without end', async () => {
    const file = path()
    await buildArray(file, u32, [1])
    const header = readFileSync(file).subarray(0, 64)
    const type = '["list",'.repeat(100_000)
    const directory = Buffer.from(
      `{"kind":"array","segments":[],"schema":{"structs":[],"roots":[${type}"u8"${']'.repeat(100_000)}]}}`,
    )
    header.writeBigUInt64LE(BigInt(64 + directory.length), 16)
    header.writeBigUInt64LE(64n, 24)
    header.writeUInt32LE(directory.length, 32)
    header.writeUInt32LE(crc32(directory), 36)
    header.writeUInt32LE(crc32(header.subarray(0, 40)), 40)
    writeFileSync(file, Buffer.concat([header, directory]))
    expect(codeOf(() => openArray(file))).toBe('BUFFER_CORRUPT')
  })

  it('tells what is wrong with a file', async () => {
    const file = path()
    expect(codeOf(() => openArray(file))).toBe('BUFFER_FILE')
    expect(codeOf(() => openArray(dirname(file)))).toMatch(/BUFFER_(FILE|FORMAT)/)
    writeFileSync(file, '')
    expect(codeOf(() => openArray(file))).toBe('BUFFER_FORMAT')
    writeFileSync(file, 'not a shared buffer, but longer than the header of one would be if it were one')
    expect(codeOf(() => openArray(file))).toBe('BUFFER_FORMAT')
    await buildArray(file, u32, [1])
    expect(codeOf(() => openMap(file))).toBe('BUFFER_FORMAT')
    expect(codeOf(() => openArray(file, { verify: 'some' as never }))).toBe('BUFFER_OPTION')
    expect(codeOf(() => openArray(file, { preload: 'some' as never }))).toBe('BUFFER_OPTION')
    openArray(file, { preload: 'all', verify: 'all' }).close()
    openArray(file, { preload: 'index' }).close()
  })
})
