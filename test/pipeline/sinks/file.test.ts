// toFile: parts and single files, formats, and that a failed execution leaves nothing.
import { existsSync, mkdirSync, mkdtempSync, readFileSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { openArray, str, struct, u32 } from '../../../src/buffers/index.ts'
import { rowWriter } from '../../../src/pipeline/sinks/file/rows.ts'
import { memoryReaders } from '../memory-engine.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-to-file-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

let out: string
let count = 0
let mill: ReturnType<typeof memoryReaders>
beforeAll(() => {
  mill = memoryReaders()
})
beforeEach(() => {
  out = join(folder, `case-${count++}`, 'out')
  mkdirSync(join(out, '..'))
})

const siblings = (): string[] => readdirSync(join(out, '..')).sort()
const text = (name = ''): string => readFileSync(join(out, name), 'utf8')

describe('directories', () => {
  it('hold a part for each task that had records, in the order of splits', async () => {
    const numbers = mill.from([1, 2, 3, 4, 5, 6], { partitions: 3 }).filter((n) => n > 2)
    expect(await numbers.toFile(out).run()).toEqual({ written: 4 })
    expect(readdirSync(out).sort()).toEqual(['part-00001.jsonl', 'part-00002.jsonl'])
    expect(['1', '2'].map((i) => text(`part-0000${i}.jsonl`))).toEqual(['3\n4\n', '5\n6\n'])
    expect(siblings()).toEqual(['out'])
    expect(await mill.files(join(out, '*.jsonl'), { format: 'jsonl' }).run()).toEqual([3, 4, 5, 6])
  })

  it('replace the parts of before, and nothing else', async () => {
    await mill.from([1, 2], { partitions: 2 }).toFile(out).run()
    await mill.from([3]).toFile(out).run()
    expect(readdirSync(out)).toEqual(['part-00000.jsonl'])
    expect(text('part-00000.jsonl')).toBe('3\n')
    writeFileSync(join(out, 'mine.txt'), '')
    await expect(mill.from([4]).toFile(out).run()).rejects.toMatchObject({
      code: 'PLAN_FILE',
      message: expect.stringContaining("'mine.txt'") as string,
    })
    expect(text('part-00000.jsonl')).toBe('3\n')
    expect(siblings()).toEqual(['out'])
  })

  it('of nothing hold one empty part', async () => {
    expect(await mill.from<number>([]).toFile(out).run()).toEqual({ written: 0 })
    expect(text('part-00000.jsonl')).toBe('')
  })

  it('of shared buffers open with their schema', async () => {
    const Movie = struct('Movie', { id: u32, title: str })
    const movies = Array.from({ length: 10 }, (_, id) => ({ id, title: `movie ${id}` }))
    const sink = mill.from(movies, { partitions: 2 }).toFile(out, { format: 'buffer', schema: Movie })
    expect(await sink.run()).toEqual({ written: 10 })
    const read = readdirSync(out)
      .sort()
      .flatMap((name) => {
        const array = openArray(join(out, name), Movie)
        const all = Array.from({ length: array.length }, (_, i) => array.get(i))
        array.close()
        return all
      })
    expect(read).toEqual(movies)
  })
})

describe('single files', () => {
  it('have all records in order', async () => {
    const rows = mill.from(
      [3, 1, 2].map((n) => ({ n, text: `a "b",\n${n}` })),
      { partitions: 3 },
    )
    expect(await rows.toFile(out, { format: 'csv', single: true }).run()).toEqual({ written: 3 })
    expect(text()).toBe('n,text\n3,"a ""b"",\n3"\n1,"a ""b"",\n1"\n2,"a ""b"",\n2"\n')
    expect(await mill.from([1]).toFile(out, { single: true }).run()).toEqual({ written: 1 })
    expect(text()).toBe('1\n')
    expect(siblings()).toEqual(['out'])
  })

  it('may be shared buffers', async () => {
    const sink = mill
      .from([{ id: 7 }])
      .toFile(out, { format: 'buffer', schema: struct('Id', { id: u32 }), single: true })
    expect(await sink.run()).toEqual({ written: 1 })
    const array = openArray(out)
    expect(array.get(0)).toEqual({ id: 7 })
    array.close()
  })
})

describe.each([true, false])('failures, single: %s', (single) => {
  const bad = () =>
    mill.from([1, 2, 3], { partitions: 3 }).map((n) => {
      if (n === 2) throw new Error('two')
      return n
    })

  it('publish nothing and leave nothing', async () => {
    const deep = join(out, 'a', 'b')
    await expect(bad().toFile(deep, { single }).run()).rejects.toMatchObject({ code: 'EXECUTION_FAILED' })
    expect(siblings()).toEqual([])
    await mill.from([9]).toFile(out, { single }).run()
    await expect(bad().toFile(out, { single }).run()).rejects.toMatchObject({ code: 'EXECUTION_FAILED' })
    expect(text(single ? '' : 'part-00000.jsonl')).toBe('9\n')
    expect(siblings()).toEqual(['out'])
  })

  it('of single records are skipped where that is asked for', async () => {
    const { written, errors } = await bad().toFile(out, { single }).run({ onError: 'skip' })
    expect([written, errors.length]).toEqual([2, 1])
  })

  it('of records that the format has no text for are theirs', async () => {
    const circle: { self?: unknown } = {}
    circle.self = circle
    const { errors, written } = await mill
      .from([1, undefined, circle, 2n, { a: 1 }])
      .toFile(out, { single })
      .run({ onError: 'skip' })
    expect(written).toBe(2)
    expect(errors.map(({ code }) => code)).toEqual(['PLAN_RECORD', 'PLAN_RECORD', 'PLAN_RECORD'])
    await expect(mill.from([undefined]).toFile(`${out}2`, { single }).run()).rejects.toMatchObject({
      code: 'EXECUTION_FAILED',
    })
    expect(existsSync(`${out}2`)).toBe(false)
  })

  it('of the target are PLAN_FILE before anything runs', async () => {
    const before = mill.engine.submissions
    const path = single ? join(out, '..') : join(out, '..', 'file')
    if (!single) writeFileSync(path, '')
    await expect(mill.from([1]).toFile(path, { single }).run()).rejects.toMatchObject({ code: 'PLAN_FILE' })
    await expect(mill.from([1]).toFile('/proc/1/gearmill/out', { single }).run()).rejects.toMatchObject({
      code: 'PLAN_FILE',
    })
    expect(mill.engine.submissions).toBe(before)
  })
})

it('options are checked where the pipeline is built', () => {
  const numbers = mill.from([1])
  for (const options of [
    { format: 'xml' },
    { format: 'buffer' },
    { schema: u32 },
    { single: 1 },
    { formt: 'csv' },
  ] as unknown as { format: 'csv' }[]) {
    expect(() => numbers.toFile(out, options)).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }) as Error)
  }
  expect(() => numbers.toFile('')).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }) as Error)
})

describe('rows of csv', () => {
  const all = (records: readonly unknown[]): string => {
    const rows = rowWriter('csv')
    return records.map((record) => rows.row(record)).join('')
  }

  it('quote what needs it', () => {
    expect(
      all([
        { a: 'x', 'b,c': ' y' },
        { a: null, 'b,c': 'q"' },
        { a: 1.5, 'b,c': true },
      ]),
    ).toBe('a,"b,c"\nx," y"\n,"q"""\n1.5,true\n')
    expect(all([{ a: '' }, { a: [1, 'x'] }, { a: new Date(0) }])).toBe('a\n""\n"[1,""x""]"\n1970-01-01T00:00:00.000Z\n')
    expect(
      all([
        ['a', 1],
        [undefined, 2n],
      ]),
    ).toBe('a,1\n,2\n')
  })

  it('have the columns of the first record', () => {
    const rows = rowWriter('csv')
    rows.row({ a: 1, b: 2 })
    expect(rows.row({ b: 3 })).toBe(',3\n')
    for (const record of [{ a: 1, c: 2 }, [1, 2], 'text', null, { a: () => 1 }, { a: Buffer.from('x') }]) {
      expect(() => rows.row(record)).toThrow(expect.objectContaining({ code: 'PLAN_RECORD' }) as Error)
    }
    expect(rows.row({ a: 5 })).toBe('5,\n')
  })

  it('are what the reader reads back', async () => {
    const cell = fc.string({ unit: fc.constantFrom('a', '"', ',', '\n', '\r', ' ', 'ä') })
    await fc.assert(
      fc.asyncProperty(fc.array(fc.record({ x: cell, y: cell }), { minLength: 1, maxLength: 20 }), async (records) => {
        const path = `${out}-law`
        await mill.from(records).toFile(path, { format: 'csv', single: true }).run()
        expect(await mill.files(path, { format: 'csv' }).run()).toEqual(records)
      }),
      { numRuns: 50 },
    )
  })
})
