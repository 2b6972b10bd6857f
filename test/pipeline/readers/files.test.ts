import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, describe, expect, it } from 'vitest'
import { memoryReaders } from '../memory-engine.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-files-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const read = memoryReaders()
let files = 0

function file(content: string | Uint8Array, name = `file-${++files}`): string {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}

const splits = fc.constantFrom(1, 2, 3, 7, 16, 64, 1000, undefined)
const bytesOf = (splitBytes: number | undefined) => (splitBytes === undefined ? {} : { splitBytes })

describe('lines', () => {
  const lines = fc.array(fc.string({ unit: fc.constantFrom('a', 'b', ' ', 'ü', '😀', '\r', '"') }), { maxLength: 20 })

  it('any split size gives the same lines', async () => {
    await fc.assert(
      fc.asyncProperty(
        lines,
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        splits,
        async (list, end, last, splitBytes) => {
          const text = list.join(end) + (last ? end : '')
          const expected = text.split('\n').map((line) => (line.endsWith('\r') ? line.slice(0, -1) : line))
          if (text.endsWith('\n') || text === '') expected.pop()
          expect(await read.files(file(text), bytesOf(splitBytes)).run()).toEqual(expected)
        },
      ),
      { numRuns: 150 },
    )
  })

  it('reads many files in the order of their names, in few splits', async () => {
    mkdirSync(join(folder, 'many'))
    for (let i = 0; i < 30; i++) file(`line ${i}\n`, `many/${String(i).padStart(2, '0')}.txt`)
    const pipeline = read.files(join(folder, 'many/*.txt'))
    expect(await pipeline.run()).toEqual(Array.from({ length: 30 }, (_, i) => `line ${i}`))
    expect((await pipeline.explain()).stages[0]?.tasks).toBe(1)
    expect(await read.files(join(folder, 'many')).count().run()).toEqual([30])
  })

  it('leaves out what a glob with ! in front matches', async () => {
    mkdirSync(join(folder, 'some/old'), { recursive: true })
    for (const name of ['some/a.txt', 'some/b.txt', 'some/b.log', 'some/old/c.txt']) file(`${name}\n`, name)
    const all = join(folder, 'some/**/*.txt')
    expect(await read.files([all, `!${join(folder, '**/b.*')}`]).run()).toEqual(['some/a.txt', 'some/old/c.txt'])
    expect(await read.files([all, `!${join(folder, 'some/a.txt')}`, '!nowhere/*']).run()).toEqual([
      'some/b.txt',
      'some/old/c.txt',
    ])
    await expect(read.files([all, `!${all}`]).run()).rejects.toMatchObject({ code: 'PLAN_NO_MATCH' })
    for (const none of ['', '!', '!*.txt', ['!*.txt']]) {
      expect(() => read.files(none)).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    }
  })

  it('strips a byte order mark, replaces bytes that are not valid', async () => {
    const bytes = Buffer.concat([
      Buffer.from([0xef, 0xbb, 0xbf]),
      Buffer.from('a\nb'),
      Buffer.from([0xff]),
      Buffer.from('\n'),
    ])
    expect(await read.files(file(bytes)).run()).toEqual(['a', 'b\uFFFD'])
    const { results, errors } = await read.files(file(bytes), { fatal: true }).run({ onError: 'skip' })
    expect(results).toEqual(['a'])
    expect(errors.map(({ code }) => code)).toEqual(['PLAN_ENCODING'])
    expect(errors[0]?.place).toMatch(/:2$/)
  })

  it('decodes latin-1 in splits and UTF-16 as a whole', async () => {
    const text = 'Ärger\nÜbermut\nöde\n'
    const latin = file(Buffer.from(text, 'latin1'))
    expect(await read.files(latin, { encoding: 'latin1', splitBytes: 4 }).run()).toEqual(['Ärger', 'Übermut', 'öde'])
    const wide = file(Buffer.concat([Buffer.from([0xff, 0xfe]), Buffer.from(text, 'utf16le')]))
    expect(await read.files(wide, { encoding: 'utf-16le', splitBytes: 4 }).run()).toEqual(['Ärger', 'Übermut', 'öde'])
  })

  it('reads lines longer than a chunk', async () => {
    const long = 'x'.repeat(3_000_000)
    expect(await read.files(file(`a\n${long}\nb`), { splitBytes: 100_000 }).run()).toEqual(['a', long, 'b'])
  })
})

describe('csv', () => {
  const field = fc.oneof(
    fc.string({ unit: fc.constantFrom('a', 'b', ',', '"', '\n', '\r\n', ' ', 'é', '😀') }),
    fc.constantFrom('', '","', '"\n"', '",\n'),
  )
  const table = fc
    .integer({ min: 1, max: 4 })
    .chain((width) =>
      fc.array(fc.array(field, { minLength: width, maxLength: width }), { minLength: 1, maxLength: 12 }),
    )
  const quoted = (text: string, always: boolean): string =>
    always || /[",\r\n]/.test(text) || text === '' ? `"${text.replaceAll('"', '""')}"` : text

  it('any split size gives the same rows', async () => {
    await fc.assert(
      fc.asyncProperty(
        table,
        fc.constantFrom('\n', '\r\n'),
        fc.boolean(),
        fc.boolean(),
        splits,
        async (rows, end, always, last, splitBytes) => {
          const width = rows[0]?.length ?? 0
          const text = rows.map((row) => row.map((one) => quoted(one, always)).join(',')).join(end) + (last ? end : '')
          const path = file(text)
          const options = { format: 'csv', header: false, ...bytesOf(splitBytes) } as const
          const expected = rows.map((row) => Object.fromEntries(row.map((one, i) => [String(i), one])))
          expect(await read.files(path, options).run()).toEqual(expected)
          expect(await read.files(path, { ...options, column: width - 1 }).run()).toEqual(
            rows.map((row) => row[width - 1]),
          )
        },
      ),
      { numRuns: 300 },
    )
  })

  it('any split size gives the same for any bytes', async () => {
    const soup = fc.string({ unit: fc.constantFrom('a', ',', '"', '\n', '\r', 'é'), minLength: 1, maxLength: 60 })
    await fc.assert(
      fc.asyncProperty(soup, fc.integer({ min: 1, max: 20 }), async (text, splitBytes) => {
        const path = file(text)
        const outcome = async (options: object) => {
          const { results, errors } = await read
            .files(path, { format: 'csv', header: false, ...options })
            .run({ onError: 'skip' })
          return { results, errors: errors.map(({ message, place }) => ({ message, place })) }
        }
        expect(await outcome({ splitBytes })).toEqual(await outcome({ splitBytes: 1000 }))
      }),
      { numRuns: 500 },
    )
  })

  it('names columns by the header, and picks one', async () => {
    const path = file('id,text,extra\n1,"hello, ""you""",x\r\n2,two\u00e9,y\n')
    expect(await read.files(path, { format: 'csv' }).run()).toEqual([
      { id: '1', text: 'hello, "you"', extra: 'x' },
      { id: '2', text: 'twoé', extra: 'y' },
    ])
    expect(await read.files(path, { format: 'csv', column: 'text', splitBytes: 5 }).run()).toEqual([
      'hello, "you"',
      'twoé',
    ])
    expect(await read.files(path, { format: 'csv', column: 0 }).run()).toEqual(['1', '2'])
    await expect(read.files(path, { format: 'csv', column: 'nope' }).run()).rejects.toMatchObject({
      code: 'PLAN_COLUMN',
    })
  })

  it('keeps the last of columns with one name, and columns of any name', async () => {
    const twice = file('a,b,a\n1,2,3\n')
    const csv = { format: 'csv' } as const
    expect(await read.files(twice, csv).run()).toEqual([{ a: '3', b: '2' }])
    expect(await read.files(twice, { ...csv, column: 'a' }).run()).toEqual(['3'])
    expect(await read.files(twice, { ...csv, column: 'a', fatal: true }).run()).toEqual(['3'])
    expect(await read.files(twice, { ...csv, column: 0 }).run()).toEqual(['1'])
    const names = ['__proto__', 'constructor', '']
    const [row] = await read.files(file(`${names.join(',')}\n1,2,3\n`), csv).run()
    expect(new Map(Object.entries(row ?? {}))).toEqual(new Map(names.map((name, i) => [name, String(i + 1)])))
  })

  it('reports broken rows with file and line, and goes on', async () => {
    const path = file('a,b\n1,2\n"x"y,3\n4\n5,"6\n6"\n7,8,9\n"10,11\n12,13\n')
    const { results, errors } = await read.files(path, { format: 'csv', column: 'b' }).run({ onError: 'skip' })
    // One field too many is no matter to one column.
    expect(results).toEqual(['2', '6\n6', '8', '13'])
    expect(errors.map(({ code }) => code)).toEqual(['PLAN_CSV', 'PLAN_CSV', 'PLAN_CSV'])
    expect(errors.map(({ place }) => place)).toEqual([3, 4, 8].map((line) => `${path}:${line}`))
    expect(errors[0]?.message).toBe(`${path}:3: text follows a closing quote`)
    const rows = await read.files(path, { format: 'csv' }).run({ onError: 'skip' })
    expect(rows.errors.map(({ place }) => place)).toEqual([3, 4, 7, 8].map((line) => `${path}:${line}`))
  })

  it('takes other delimiters and quotes', async () => {
    const path = file("a;'b;c'\n")
    const options = { format: 'csv', header: false, delimiter: ';', quote: "'" } as const
    expect(await read.files(path, options).run()).toEqual([{ 0: 'a', 1: 'b;c' }])
    expect(await read.files(path, { ...options, quote: '' }).run()).toEqual([{ 0: 'a', 1: "'b", 2: "c'" }])
  })
})

describe('jsonl and bytes', () => {
  it('parses lines, and names those that are no JSON', async () => {
    const path = file('{"a":1}\n\n[2]\n{oops\n"x"')
    const { results, errors } = await read.files(path, { format: 'jsonl', splitBytes: 3 }).run({ onError: 'skip' })
    expect(results).toEqual([{ a: 1 }, [2], 'x'])
    expect(errors).toMatchObject([{ code: 'PLAN_JSON', place: `${path}:4`, record: '{oops' }])
  })

  it('gives whole files', async () => {
    const path = file(Uint8Array.of(0, 255, 10))
    expect(await read.files(path, { format: 'bytes' }).run()).toEqual([{ path, bytes: Uint8Array.of(0, 255, 10) }])
  })
})

describe('input that is not there', () => {
  it('is an error with a code', async () => {
    await expect(read.files(join(folder, 'nowhere.csv')).run()).rejects.toMatchObject({ code: 'PLAN_FILE' })
    await expect(read.files(join(folder, 'nowhere/*.csv')).run()).rejects.toMatchObject({ code: 'PLAN_NO_MATCH' })
    await expect(read.files(join(folder, '*.nothing')).run()).rejects.toMatchObject({ code: 'PLAN_NO_MATCH' })
  })

  it('is nothing where a folder or a file is empty', async () => {
    mkdirSync(join(folder, 'empty'))
    expect(await read.files(join(folder, 'empty/*.csv')).run()).toEqual([])
    expect(await read.files(join(folder, 'empty')).count().run()).toEqual([0])
    expect(await read.files(file(''), { format: 'csv' }).run()).toEqual([])
    expect(await read.files(file('a,b\n'), { format: 'csv', column: 'b' }).run()).toEqual([])
  })
})
