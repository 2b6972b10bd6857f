import { execFile } from 'node:child_process'
import {
  closeSync,
  existsSync,
  openSync,
  readdirSync,
  readlinkSync,
  renameSync,
  rmSync,
  writeFileSync,
  writeSync,
} from 'node:fs'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  buildArray,
  bytes,
  decimal,
  list,
  openArray,
  openLayered,
  openMap,
  optional,
  str,
  struct,
  tuple,
  u32,
} from '../../src/buffers/index.ts'
import { tryLock } from '../../src/native/mmap.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const Movie = struct('Movie', { id: u32, title: str, tags: list(str), year: optional(u32) })
type Movie = typeof Movie.type
const movie = (id: number, title = `movie ${id}`): Movie => ({ id, title, tags: [`t${id % 3}`] })

/** What an open descriptor of this process leads to; some are gone by the time they are looked at. */
function linkOf(fd: string): string {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`)
  } catch {
    return ''
  }
}

describe('a layered array', () => {
  it('reads through updates to the file, and rebuilds into a new one', async () => {
    const file = path()
    await buildArray(file, Movie, [movie(0), movie(1), movie(2)])
    const here = openLayered(file, Movie)
    const there = openLayered(file, Movie)
    const before = there.at(1)

    here.set(1, movie(1, 'changed'))
    expect(here.push(movie(3))).toBe(3)
    here.set(3, movie(3, 'changed too'))
    expect([...here].map((view) => view.title)).toEqual(['movie 0', 'changed', 'movie 2', 'changed too'])
    expect(here.get(-1)).toEqual(movie(3, 'changed too'))
    expect(here.at(1).tags).toEqual(['t1'])
    expect([there.length, there.at(1).title, here.pending]).toEqual([3, 'movie 1', 2])

    await here.rebuild()
    expect([there.length, there.at(1).title, there.get(3).title, here.pending]).toEqual([
      4,
      'changed',
      'changed too',
      0,
    ])
    // A view that was taken before the swap shows what it showed.
    expect(before.title).toBe('movie 1')
    expect(openArray(file, Movie, { verify: 'all' }).length).toBe(4)
    here.close()
    there.close()
    expect(codeOf(() => here.at(0))).toBe('BUFFER_CLOSED')
  })

  it('keeps updates that are made while it rebuilds', async () => {
    const file = path()
    await buildArray(file, Movie, [movie(0), movie(1)])
    const array = openLayered(file, Movie)
    array.push(movie(2))
    const done = array.rebuild()
    const again = array.rebuild()
    array.set(0, movie(0, 'meanwhile'))
    array.push(movie(3))
    expect(array.length).toBe(4)
    await done
    expect([...array].map((view) => view.title)).toEqual(['meanwhile', 'movie 1', 'movie 2', 'movie 3'])
    await again
    expect([array.pending, openArray(file).length]).toEqual([0, 4])
  })

  it('begins empty where there is no file, and sees the first one', async () => {
    const file = path()
    const array = openLayered(file, Movie)
    const other = openLayered(file, Movie)
    expect([array.length, codeOf(() => array.at(0))]).toEqual([0, 'BUFFER_RANGE'])
    array.push(movie(0))
    await array.rebuild()
    expect(other.get(0)).toEqual(movie(0))
  })

  it('refuses values that do not fit, and loses nothing when a rebuild fails', async () => {
    const file = path()
    await buildArray(file, Movie, [movie(0)])
    const array = openLayered(file, Movie, { segmentBytes: 4096 })
    expect(codeOf(() => array.set(0, { id: -1 } as never))).toBe('BUFFER_VALUE')
    expect(codeOf(() => array.set(1, movie(1)))).toBe('BUFFER_RANGE')
    expect(codeOf(() => openLayered(path(), bytes).push(new Uint8Array(2 ** 30)))).toBe('BUFFER_TOO_LARGE')
    array.set(0, movie(0, 'kept'))
    array.push(movie(1, 'x'.repeat(5000)))
    await expect(array.rebuild()).rejects.toMatchObject({ code: 'BUFFER_TOO_LARGE' })
    expect(array.get(0).title).toBe('kept')
    expect([array.length, array.pending]).toEqual([2, 2])
    array.set(1, movie(1))
    await array.rebuild()
    expect(openArray(file).length).toBe(2)
    expect(readdirSync(dirname(file)).filter((name) => name.endsWith('.tmp'))).toEqual([])
  })

  it('lets others rebuild when something else has taken its place', async () => {
    const file = path()
    await buildArray(file, u32, Array.from({ length: 20_000 }, (_, index) => index)) // prettier-ignore
    const array = openLayered(file, u32)
    array.push(5)
    const done = array.rebuild()
    // It is in the middle: the file that it writes is gone, and what is at the path is no buffer.
    for (const name of readdirSync(dirname(file))) {
      const written = join(dirname(file), name)
      if (written.startsWith(file) && name.endsWith('.tmp')) rmSync(written)
    }
    writeFileSync(`${file}.other`, 'no buffer')
    renameSync(`${file}.other`, file)
    await expect(done).rejects.toMatchObject({ code: 'BUFFER_FORMAT' })
    expect(array.pending).toBe(1)
    const release = tryLock(`${file}.lock`)
    expect(release).toBeDefined()
    release?.()
  })

  it.runIf(process.platform === 'linux')('holds one file open, however many it followed', async () => {
    const file = path()
    const [array, reader] = [openLayered(file, Movie), openLayered(file, Movie)]
    const views = []
    for (let id = 0; id < 20; id++) {
      array.push(movie(id))
      await array.rebuild()
      views.push(reader.at(id))
    }
    const open = readdirSync('/proc/self/fd').filter((fd) => linkOf(fd).startsWith(file))
    expect(open.length).toBe(2)
    expect(views.map((view) => view.title)).toEqual(views.map((_, id) => `movie ${id}`))
  })

  it('follows a file that any writer puts in its place', async () => {
    const file = path()
    await buildArray(file, Movie, [movie(0)])
    const array = openLayered(file, Movie)
    const plain = openArray(file, Movie)
    await buildArray(file, Movie, [movie(7), movie(8)])
    expect([array.length, array.at(0).id]).toEqual([2, 7])
    expect([plain.length, plain.at(0).id, plain.superseded]).toEqual([1, 0, true])
  })

  it('goes on with a file whose successor never came', async () => {
    const file = path()
    await buildArray(file, Movie, [movie(0)])
    const array = openLayered(file, Movie)
    const old = openArray(file, Movie)
    // The mark of a rebuild that died before its rename.
    const fd = openSync(file, 'r+')
    writeSync(fd, Uint8Array.of(1), 0, 1, 48)
    closeSync(fd)
    expect(old.superseded).toBe(true)
    array.set(0, movie(2))
    expect([array.length, array.at(0).id]).toEqual([1, 2])
    await array.rebuild()
    expect(openLayered(file, Movie).at(0).id).toBe(2)
  })
})

describe('a layered map', () => {
  it('behaves as a Map does, before and after rebuilds', async () => {
    const action = fc.oneof(
      fc.record({ set: fc.nat({ max: 20 }), value: fc.nat() }),
      fc.record({ delete: fc.nat({ max: 20 }) }),
      fc.constant('rebuild' as const),
    )
    await fc.assert(
      fc.asyncProperty(fc.array(action, { maxLength: 40 }), async (actions) => {
        const map = openLayered(path(), str, u32)
        const model = new Map<string, number>()
        for (const step of actions) {
          const results: unknown[] = []
          if (step === 'rebuild') await map.rebuild()
          else if ('set' in step) {
            map.set(`key ${step.set}`, step.value)
            model.set(`key ${step.set}`, step.value)
          } else results.push(map.delete(`key ${step.delete}`), model.delete(`key ${step.delete}`))
          expect(results[0]).toBe(results[1])
          expect(map.size).toBe(model.size)
          expect(new Map(map)).toEqual(model)
          for (let key = 0; key <= 20; key++) {
            expect(map.get(`key ${key}`)).toBe(model.get(`key ${key}`))
            expect(map.has(`key ${key}`)).toBe(model.has(`key ${key}`))
          }
        }
        map.close()
      }),
      { numRuns: 25 },
    )
  })

  it('compares keys by content', async () => {
    const map = openLayered(path(), tuple(str, u32), Movie)
    map.set(['a', 1], movie(1))
    expect(map.get(['a', 1])).toEqual(movie(1))
    expect(map.at(['a', 1])?.title).toBe('movie 1')
    await map.rebuild()
    map.set(['a', 2], movie(2))
    expect([...map.keys()]).toEqual([['a', 1], ['a', 2]]) // prettier-ignore
    expect([...map.values()].map(({ id }) => id)).toEqual([1, 2])
  })

  it('knows a key that was set in another way, and one that is none', async () => {
    const map = openLayered(path(), decimal, u32)
    map.set('1', 1).set('+1', 2)
    expect([map.size, map.get('01'), map.get({} as never), map.has('x'), map.delete('x')]).toEqual([1, 2, undefined, false, false]) // prettier-ignore
    await map.rebuild()
    expect([map.size, map.get('+1'), map.pending, map.has({} as never)]).toEqual([1, 2, 0, false])
    map.set('2', 2)
    expect([map.get({} as never), map.delete({} as never), map.pending]).toEqual([undefined, false, 1])
  })

  it('keeps keys that their owner fills again', async () => {
    const map = openLayered(path(), bytes, u32)
    const key = Buffer.from('one')
    map.set(key, 1)
    key.write('two')
    map.set(key, 2)
    await map.rebuild()
    expect([map.size, map.get(Buffer.from('one')), map.get(Buffer.from('two'))]).toEqual([2, 1, 2])
  })

  it('loses no update of processes that rebuild at the same time', async () => {
    const file = path()
    const run = async (name: string) => {
      const script = new URL('./layered-process.ts', import.meta.url).pathname
      const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', script, file, name, '20'])
      return JSON.parse(stdout) as { readonly size: number; readonly pending: number }
    }
    const results = await Promise.all([run('a'), run('b'), run('c')])
    expect(results.map(({ pending }) => pending)).toEqual([0, 0, 0])
    expect(Math.max(...results.map(({ size }) => size))).toBe(60)
    const map = openMap(file, { key: str, value: u32, verify: 'all' })
    expect(map.size).toBe(60)
    expect(existsSync(`${file}.lock`)).toBe(true)
  })

  it('refuses keys and values that do not fit', () => {
    const map = openLayered(path(), u32, str)
    expect(codeOf(() => map.set(-1, 'x'))).toBe('BUFFER_VALUE')
    expect(codeOf(() => map.set(1, 5 as never))).toBe('BUFFER_VALUE')
    expect(map.pending).toBe(0)
  })

  it('needs single, exact maps', async () => {
    const file = path()
    await buildArray(file, Movie, [])
    expect(codeOf(() => openLayered(file, str, u32))).toBe('BUFFER_FORMAT')
  })
})
