import { execFile } from 'node:child_process'
import { statSync } from 'node:fs'
import { promisify } from 'node:util'
import { describe, expect, it } from 'vitest'
import { buildArray, list, openArray, str, struct, u32 } from '../../src/buffers/index.ts'
import { Counters } from './counters.ts'
import { codeOf, temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const start: typeof Counters.type = {
  name: 'n',
  i8: 0,
  u16: 0,
  i32: 0,
  u32: 0,
  i64: 0n,
  u64: 0n,
  f32: 0,
  f64: 0,
  swapped: 0,
  flag: false,
  day: new Date(0),
}

function run(...args: string[]): Promise<{ stdout: string }> {
  const script = new URL('./shared-process.ts', import.meta.url).pathname
  return promisify(execFile)(process.execPath, ['--import', 'tsx', script, ...args])
}

describe('writing in place', () => {
  it('reaches the file and everybody who has it open', async () => {
    const file = path()
    await buildArray(file, Counters, [start, start])
    const here = openArray(file, Counters, { writable: true })
    const there = openArray(file, Counters)
    const view = here.at(1)
    view.f64 = 1.5
    view.i64 = -(2n ** 60n)
    view.flag = true
    view.day = new Date('2024-02-29')
    here.cursor().moveTo(1).u16 = 65_535
    expect(there.get(1)).toEqual({
      ...start,
      f64: 1.5,
      i64: -(2n ** 60n),
      flag: true,
      day: new Date('2024-02-29'),
      u16: 65_535,
    })
    expect(there.get(0)).toEqual(start)
    // Segment checksums no longer hold, and the file says so.
    openArray(file, Counters, { verify: 'all' }).close()
    here.close()
    expect(codeOf(() => (view.f64 = 2))).toBe('BUFFER_CLOSED')
    expect(codeOf(() => here.add(0, 'u32', 1))).toBe('BUFFER_CLOSED')
  })

  it('refuses what cannot change', async () => {
    const file = path()
    await buildArray(file, Counters, [start])
    const here = openArray(file, Counters, { writable: true })
    expect(codeOf(() => (here.at(0).name = 'x'))).toBe('BUFFER_READ_ONLY')
    expect(codeOf(() => (here.at(0).missing = 1))).toBe('BUFFER_READ_ONLY')
    expect(codeOf(() => here.add(0, 'missing', 1))).toBe('BUFFER_READ_ONLY')
    expect(codeOf(() => (here.at(0).u16 = 65_536))).toBe('BUFFER_VALUE')
    expect(codeOf(() => here.add(0, 'u16', 0.5))).toBe('BUFFER_VALUE')
    expect(codeOf(() => here.add(0, 'i64', 1 as never))).toBe('BUFFER_VALUE')
    expect(codeOf(() => here.add(0, 'nothing' as never, 1 as never))).toBe('BUFFER_SCHEMA')
    expect(codeOf(() => here.compareAndSwap(0, 'name', 'n', 'm'))).toBe('BUFFER_VALUE')
    const there = openArray(file, Counters)
    expect(codeOf(() => ((there.at(0) as { u16: number }).u16 = 1))).toBe('BUFFER_READ_ONLY')
    expect(codeOf(() => there.add(0, 'u32', 1))).toBe('BUFFER_READ_ONLY')
    expect(there.get(0)).toEqual(start)
  })

  it('adds and swaps every type of number', async () => {
    const file = path()
    await buildArray(file, Counters, [start])
    const here = openArray(file, Counters, { writable: true })
    expect([here.add(0, 'i8', 127), here.add(0, 'i8', 1), here.at(0).i8]).toEqual([0, 127, -128])
    expect([here.add(0, 'u64', 5n), here.at(0).u64]).toEqual([0n, 5n])
    expect([here.add(0, 'f32', 0.5), here.add(0, 'f64', -0.25), here.at(0).f32, here.at(0).f64]).toEqual([0, 0, 0.5, -0.25]) // prettier-ignore
    expect([here.compareAndSwap(0, 'f64', 1, 2), here.compareAndSwap(0, 'f64', -0.25, 2), here.at(0).f64]).toEqual([false, true, 2]) // prettier-ignore
    expect([here.compareAndSwap(0, 'f32', 0.5, 2), here.at(0).f32]).toEqual([true, 2])
    expect([here.compareAndSwap(0, 'i64', 0n, -7n), here.at(0).i64]).toEqual([true, -7n])
    expect([here.compareAndSwap(0, 'flag', false, true), here.compareAndSwap(0, 'flag', false, true), here.at(0).flag]).toEqual([true, false, true]) // prettier-ignore
    expect([here.compareAndSwap(0, 'u32', 1, 2), here.compareAndSwap(0, 'u32', 0, 2), here.at(0).u32]).toEqual([false, true, 2]) // prettier-ignore
  })

  it('loses no addition of processes that add at the same time', async () => {
    const file = path()
    await buildArray(file, Counters, [start])
    const times = 50_000
    await Promise.all([run('count', file, String(times)), run('count', file, String(times))])
    const all = 2 * times
    expect(openArray(file, Counters).get(0)).toEqual({
      ...start,
      i8: (all << 24) >> 24,
      u16: all % 65_536,
      i32: all,
      u32: all,
      i64: BigInt(all),
      u64: BigInt(2 * all),
      f32: all,
      f64: all,
      swapped: all,
    })
  })
})

describe.runIf(process.platform === 'linux')('memory', () => {
  it('is shared by all processes that map a file', async () => {
    const file = path()
    const Row = struct('Row', { id: u32, name: str, tags: list(str) })
    function* rows() {
      for (let id = 0; id < 400_000; id++) yield { id, name: `the name of row ${id}`, tags: [`tag ${id % 100}`] }
    }
    await buildArray(file, Row, rows(), { intern: true })
    const megabytes = statSync(file).size / 2 ** 20
    expect(megabytes).toBeGreaterThan(15)
    const outputs = await Promise.all([run('scan', file), run('scan', file)])
    for (const { stdout } of outputs) {
      const seen = JSON.parse(stdout) as { readonly rows: number; readonly shared: number; readonly dirty: number }
      expect(seen.rows).toBe(400_000)
      expect(seen.shared / 1024).toBeGreaterThan(megabytes * 0.9)
      expect(seen.dirty / 1024).toBeLessThan(1)
    }
  })
})
