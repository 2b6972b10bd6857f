import { readdirSync } from 'node:fs'
import { dirname } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  buildArray,
  buildMap,
  bytes,
  createPool,
  list,
  mergeMaps,
  openArray,
  openLayered,
  openMap,
  optional,
  ref,
  str,
  struct,
  u16,
  u32,
  u8,
} from '../../src/buffers/index.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()
/** What no compiler would let through. */
const odd = (value: unknown) => value as never
const nonsense = [undefined, null, 5, 'text', Symbol('odd'), 1n, -1n, true, {}, [0], () => 0]
const unless = (...fine: unknown[]) => nonsense.filter((value) => !fine.includes(value))

async function codeOfBuild(build: () => Promise<unknown>): Promise<string | undefined> {
  try {
    await build()
    return undefined
  } catch (error) {
    return (error as { readonly code?: string }).code ?? String(error)
  }
}

describe('arguments that are none', () => {
  it('are coded errors: of schemas', () => {
    const makers = [
      ...unless(nonsense[8]).map((value) => () => struct('Odd', odd(value))),
      ...unless(nonsense[10]).map((value) => () => ref(odd(value))),
      ...nonsense.map((value) => () => list(odd(value))),
      ...nonsense.map((value) => () => optional(odd(value))),
    ]
    expect(makers.map(codeOf)).toEqual(makers.map(() => 'BUFFER_SCHEMA'))
    const options = [null, 5, 'text', { compress: 'yes' }].map((value) => () => bytes(odd(value)))
    expect(options.map(codeOf)).toEqual(options.map(() => 'BUFFER_OPTION'))
  })

  it('are coded errors: of building, which leaves nothing behind', async () => {
    const file = path('odd')
    const options = [null, 5, 'text', u8, { intern: 1 }, { segmentBytes: '4096' }]
    const builds = [
      ...unless('text').map((value) => () => buildArray(odd(value), u8, [])),
      () => buildArray('', u8, []),
      ...unless('text', nonsense[9]).map((value) => () => buildArray(file, u8, odd(value))),
      ...unless('text', nonsense[9]).map((value) => () => buildMap(file, u8, u8, odd(value))),
      ...options.map((value) => () => buildArray(file, u8, [], odd(value))),
      ...[...options, { tempDir: 5 }, { multi: 'no' }, { approximate: 0 }, { hashBits: '32' }].map(
        (value) => () => buildMap(file, u8, u8, [], odd(value)),
      ),
      () => buildArray(file, u8, [], { signal: odd(5) }),
      () => mergeMaps(file, odd('text')),
      () => mergeMaps(file, odd(undefined)),
      () => mergeMaps(file, [file], odd(null)),
    ]
    const codes = []
    for (const build of builds) codes.push(await codeOfBuild(build))
    expect(codes).toEqual(builds.map(() => 'BUFFER_OPTION'))
    for (const entry of unless(nonsense[8], nonsense[9])) {
      await expect(buildMap(file, str, u8, [odd(entry)])).rejects.toMatchObject({ code: 'BUFFER_VALUE' })
    }
    expect(readdirSync(dirname(file)).filter((name) => name.includes('odd'))).toEqual([])
  })

  it('are coded errors: of opening', async () => {
    const [array, map] = [path(), path()]
    await buildArray(array, u8, [1])
    await buildMap(map, str, u8, [])
    const opens = [
      ...unless('text').map((value) => () => openArray(odd(value))),
      ...[null, 5, 'text', { writable: 'yes' }].map((value) => () => openArray(array, odd(value))),
      ...[null, 5, u8].map((value) => () => openArray(array, u8, odd(value))),
      ...[null, 5, str, { verify: true }].map((value) => () => openMap(map, odd(value))),
      ...[null, 5, { segmentBytes: 1 }].map((value) => () => openLayered(array, u8, odd(value))),
      ...[null, { hashBits: 5 }].map((value) => () => openLayered(map, str, u8, odd(value))),
      ...[null, 5, { dir: 5 }, { intern: 0 }, { segmentBytes: 0 }].map((value) => () => createPool(odd(value))),
    ]
    expect(opens.map(codeOf)).toEqual(opens.map(() => 'BUFFER_OPTION'))
  })

  it('are coded errors: of places and positions', async () => {
    const file = path()
    await buildArray(file, struct('One', { a: u8 }), [{ a: 1 }, { a: 2 }])
    const array = openArray<{ a: number }>(file)
    const layered = openLayered(file, struct('One', { a: u8 }))
    const cursor = array.cursor()
    cursor.moveTo(0)
    const pool = createPool({ segmentBytes: 4096 })
    pool.pack(u8, 1)
    const places = unless(5).map((value) => value as number)
    const reads = places.flatMap((place) => [
      () => array.at(place),
      () => array.get(place),
      () => cursor.moveTo(place),
      () => array.cursor().moveTo(place),
      () => layered.at(place),
      () => pool.get(u8, place),
    ])
    expect(reads.map(codeOf)).toEqual(reads.map(() => 'BUFFER_RANGE'))
    expect(cursor.moveTo(1).a).toBe(2)
    const adds = [...nonsense, new Uint8Array(0), new Float64Array(1)].map((value) => () => pool.add(odd(value)))
    expect(adds.map(codeOf)).toEqual(adds.map(() => 'BUFFER_VALUE'))
    expect(pool.count).toBe(1)
    expect(() => array.at(-3)).toThrow('place -3 of')
    pool.close()
  })
})

describe('an attribute that the file does not have', () => {
  it('cannot be assigned', async () => {
    const file = path()
    await buildArray(file, struct('One', { a: u8 }), [{ a: 1 }])
    const wider = struct('One', { a: u16, later: optional(u32) })
    const view = openArray(file, wider, { writable: true }).at(0)
    expect(view.later).toBeUndefined()
    expect(codeOf(() => (view.later = 5))).toBe('BUFFER_READ_ONLY')
  })
})

describe('building from what comes late', () => {
  it('ends when it is aborted, at the next item', async () => {
    const file = path('late')
    const stop = new AbortController()
    async function* source() {
      for (let id = 0; ; id++) {
        if (id === 3) stop.abort()
        yield await Promise.resolve(id)
        // It would never come to an end by itself, nor to the next look at the signal in a while.
        if (id > 3) throw new Error('asked for more')
      }
    }
    await expect(buildArray(file, u32, source(), { signal: stop.signal })).rejects.toThrow('aborted')
    expect(readdirSync(dirname(file)).filter((name) => name.includes('late'))).toEqual([])
  })
})
