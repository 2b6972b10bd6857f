import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { firstCsvRow } from '../../../src/native/text/header.ts'
import { TextKernel } from '../../../src/native/text/kernel.ts'
import type { CsvOptions, RowProblem, RowReader } from '../../../src/native/text/reader.ts'
import { bytesOf, countsOf, decode, textsOf } from './texts.ts'

const kernel = TextKernel.create()
const LF = 10
const CR = 13

interface Read {
  readonly rows: string[][]
  readonly problems: RowProblem[]
}

/** CSV byte by byte: the definition. */
function csvReference(bytes: Uint8Array, options: CsvOptions): Read {
  const delimiter = (options.delimiter ?? ',').charCodeAt(0)
  const quote = options.quote === '' ? -1 : (options.quote ?? '"').charCodeAt(0)
  const rows: string[][] = []
  const problems: RowProblem[] = []
  let at = 0
  let row = 0
  const isBreak = (i: number) => bytes[i] === LF || (bytes[i] === CR && bytes[i + 1] === LF)
  const afterBreak = (i: number) => (bytes[i] === CR ? i + 2 : i + 1)
  while (at < bytes.length) {
    if (isBreak(at)) {
      at = afterBreak(at)
      continue
    }
    const start = at
    const values: string[] = []
    let fault: { kind: RowProblem['kind']; at: number; from: number } | undefined
    for (;;) {
      const value: number[] = []
      if (bytes[at] === quote) {
        const open = at++
        while (at < bytes.length && (bytes[at] !== quote || bytes[at + 1] === quote)) {
          value.push(bytes[at] as number)
          at += bytes[at] === quote ? 2 : 1
        }
        if (at >= bytes.length) {
          fault = { kind: 'unterminated', at: open, from: open }
          break
        }
        at++
        if (at < bytes.length && bytes[at] !== delimiter && !isBreak(at)) {
          fault = { kind: 'garbage', at, from: open }
          break
        }
      } else {
        while (at < bytes.length && bytes[at] !== delimiter && !isBreak(at)) value.push(bytes[at++] as number)
      }
      values.push(decode(Uint8Array.from(value)))
      if (at >= bytes.length) break
      if (isBreak(at)) {
        at = afterBreak(at)
        break
      }
      at++
    }
    if (fault !== undefined) {
      problems.push({ kind: fault.kind, row, offset: start, faultOffset: fault.at })
      const next = bytes.indexOf(LF, fault.from)
      at = next < 0 ? bytes.length : next + 1
    } else if (values.length <= Math.max(...options.columns)) {
      problems.push({ kind: 'short', row, offset: start, faultOffset: start })
    } else if (row > 0 || options.header !== true) {
      rows.push(options.columns.map((column) => values[column] as string))
    }
    row++
  }
  return { rows, problems }
}

function readAll(reader: RowReader, bytes: Uint8Array, cuts: readonly number[]): Read {
  const rows: string[][] = []
  const problems: RowProblem[] = []
  const ends = [...cuts.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
  let from = 0
  ends.forEach((end, i) => {
    const read = reader.push(bytes.subarray(from, end), i === ends.length - 1)
    const columns = read.columns.map(textsOf)
    const first = columns[0] as string[]
    expect(first.length).toBe(read.rows)
    first.forEach((_, row) => rows.push(columns.map((column) => column[row] as string)))
    problems.push(...read.problems)
    from = end
  })
  return { rows, problems }
}

const csvBytes = fc
  .array(
    fc.oneof(
      fc.constantFrom(',', '"', '""', '\n', '\r\n', '\r', ',"', '",', '"\n', '\n"', ';', "'", 'a', 'é', '漢', 'word'),
      fc.constantFrom('"a b","c ""d"" e",f\n', 'plain,row,here\r\n', '1,"two\nlines",3\n', 'x'.repeat(70)),
    ),
    { maxLength: 60 },
  )
  .map((parts) => bytesOf(parts.join('')))
const cuts = fc.array(fc.nat({ max: 400 }), { maxLength: 6 })
const columns = fc.uniqueArray(fc.nat({ max: 3 }), { minLength: 1, maxLength: 3 })

describe('a reader of CSV', () => {
  it('reads what the definition reads, however the bytes are cut into chunks', () => {
    const shape = fc.record({
      columns,
      delimiter: fc.constantFrom(',', ';'),
      quote: fc.constantFrom('"', "'", ''),
      header: fc.boolean(),
    })
    fc.assert(
      fc.property(csvBytes, cuts, shape, (bytes, at, options) => {
        const reader = kernel.csvReader(options)
        expect(readAll(reader, bytes, at)).toEqual(csvReference(bytes, options))
        // After the last chunk it starts anew.
        expect(readAll(reader, bytes, [])).toEqual(csvReference(bytes, options))
        reader.close()
      }),
      { numRuns: 2000 },
    )
  })

  it('gives back what a writer of CSV wrote', () => {
    const table = fc.array(fc.tuple(fc.string({ unit: 'grapheme' }), fc.string({ unit: 'grapheme' })), {
      maxLength: 30,
    })
    fc.assert(
      fc.property(table, cuts, fc.boolean(), (rows, at, hasEnd) => {
        const lines = rows.map((row) => row.map((value) => `"${value.replaceAll('"', '""')}"`).join(','))
        const reader = kernel.csvReader({ columns: [1, 0] })
        const bytes = bytesOf(lines.join('\r\n') + (hasEnd ? '\r\n' : ''))
        expect(readAll(reader, bytes, at)).toEqual({ rows: rows.map(([a, b]) => [b, a]), problems: [] })
        reader.close()
      }),
    )
  })

  it('goes on after broken rows, and says where they are', () => {
    const reader = kernel.csvReader({ columns: [1], header: true })
    const csv = 'id,text\n1,one\n2\n3,"three"x\n4,"four\n5,"five"\n6,six\n7,"seven'
    const { rows, problems } = readAll(reader, bytesOf(csv), [])
    expect(rows).toEqual([['one'], ['five'], ['six']])
    expect(problems).toEqual([
      { kind: 'short', row: 2, offset: 14, faultOffset: 14 },
      { kind: 'garbage', row: 3, offset: 16, faultOffset: csv.indexOf('x\n') },
      { kind: 'garbage', row: 4, offset: csv.indexOf('4,'), faultOffset: csv.indexOf('five') },
      { kind: 'unterminated', row: 7, offset: csv.indexOf('7,'), faultOffset: csv.indexOf('"seven') },
    ])
    reader.close()
  })

  it('goes on behind the first line break after the broken value', () => {
    const reader = kernel.csvReader({ columns: [0] })
    const { rows, problems } = readAll(reader, bytesOf('"two\nlines","broken"x\nnext,row\n'), [])
    expect(rows).toEqual([['next']])
    expect(problems.map((problem) => problem.kind)).toEqual(['garbage'])
    reader.close()
  })

  it('loses one line to a quote without an end, at most maxRowBytes later', () => {
    const reader = kernel.csvReader({ columns: [1], maxRowBytes: 10_000 })
    const lines = Array.from({ length: 20_000 }, (_, i) => `${i},value ${i}`)
    lines[50] = '50,"never closed'
    const { rows, problems } = readAll(reader, bytesOf(lines.join('\n')), [100, 5000, 15_000, 15_001])
    expect(rows.length).toBe(lines.length - 1)
    expect(problems).toEqual([expect.objectContaining({ kind: 'unterminated', row: 50 })])
    reader.close()
  })

  it('finds the same rows too long, however the bytes are cut into chunks', () => {
    fc.assert(
      fc.property(csvBytes, cuts, columns, fc.integer({ min: 1, max: 60 }), (bytes, at, which, maxRowBytes) => {
        const reader = kernel.csvReader({ columns: which, maxRowBytes })
        const whole = readAll(reader, bytes, [])
        expect(readAll(reader, bytes, at)).toEqual(whole)
        reader.close()
      }),
      { numRuns: 1000 },
    )
  })

  it('steps over a row that is too long', () => {
    const reader = kernel.csvReader({ columns: [0], maxRowBytes: 1000 })
    const bytes = bytesOf(`a\n${'x'.repeat(600_000)}\nb\n`)
    const { rows, problems } = readAll(reader, bytes, [1000, 100_000])
    expect(rows).toEqual([['a'], ['b']])
    expect(problems).toEqual([{ kind: 'long', row: 1, offset: 2, faultOffset: 2 }])
    reader.close()
  })

  it('reads rows that are longer than its pieces', () => {
    const reader = kernel.csvReader({ columns: [1] })
    const value = 'long "value"\n'.repeat(100_000)
    const bytes = bytesOf(`1,"${value.replaceAll('"', '""')}"\n2,short\n`)
    const chunks = Array.from({ length: 40 }, (_, i) => i * 40_000)
    expect(readAll(reader, bytes, chunks)).toEqual({ rows: [[value], ['short']], problems: [] })
    reader.close()
  })

  it('reports many broken rows and reads all others', () => {
    const reader = kernel.csvReader({ columns: [1] })
    const lines = Array.from({ length: 5000 }, (_, i) => (i % 2 === 0 ? `${i},even` : `${i}`))
    const { rows, problems } = readAll(reader, bytesOf(lines.join('\n')), [])
    expect(rows.length).toBe(2500)
    expect(problems.map((problem) => problem.row)).toEqual(Array.from({ length: 2500 }, (_, i) => 2 * i + 1))
    reader.close()
  })

  it('replaces bytes that are not UTF-8 within their value', () => {
    const reader = kernel.csvReader({ columns: [0] })
    const bytes = Uint8Array.of(0xc3, 44, 120, LF, 97, 0xff, 98, 44, 120, LF, 99, 44, 120, LF)
    expect(readAll(reader, bytes, []).rows).toEqual([['\ufffd'], ['a\ufffdb'], ['c']])
    reader.close()
  })

  it('stops in front of a broken row where it is strict, and starts anew behind it', () => {
    const reader = kernel.csvReader({ columns: [1], strict: true, reuse: true })
    const bytes = bytesOf('a,b\nc,"d\ne"\n"f"g,h\ni,j\nk\n')
    const first = reader.push(bytes)
    expect([first.stopped, reader.position, first.problems]).toEqual([true, 12, []])
    expect(first.columns.map(textsOf)).toEqual([['b', 'd\ne']])
    reader.restart()
    const second = reader.push(bytes.subarray(19))
    expect([second.stopped, reader.position]).toEqual([true, 4])
    expect(second.columns.map(textsOf)).toEqual([['j']])
    reader.restart()
    expect(reader.push(bytesOf('l,m\nn,'))).toMatchObject({ rows: 1, stopped: false })
    expect(reader.position).toBe(4)
    reader.close()
  })

  it('refuses options that it cannot follow', () => {
    const refused: CsvOptions[] = [
      { columns: [] },
      { columns: [255] },
      { columns: [1, 1] },
      { columns: [-1] },
      { columns: [0], delimiter: '' },
      { columns: [0], delimiter: 'ab' },
      { columns: [0], delimiter: '\n' },
      { columns: [0], quote: 'é' },
      { columns: [0], delimiter: '"' },
      { columns: [0], maxRowBytes: 0 },
    ]
    for (const options of refused) {
      expect(() => kernel.csvReader(options)).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    }
    const before = kernel.memoryBytes
    for (let i = 0; i < 1000; i++) {
      expect(() => kernel.csvReader({ columns: [0], quote: 'é' })).toThrow(
        expect.objectContaining({ code: 'PLAN_OPTION' }),
      )
    }
    expect(kernel.memoryBytes).toBe(before)
  })
})

describe('a reader of lines', () => {
  it('cuts at LF and CR LF', () => {
    const lineBytes = fc
      .array(fc.constantFrom('\n', '\r\n', '\r', 'a', 'é', '"', ',', 'x'.repeat(40)), { maxLength: 40 })
      .map((parts) => bytesOf(parts.join('')))
    fc.assert(
      fc.property(lineBytes, cuts, (bytes, at) => {
        const lines = decode(bytes).split(/\r?\n/)
        if (lines.at(-1) === '') lines.pop()
        const reader = kernel.lineReader()
        expect(readAll(reader, bytes, at).rows).toEqual(lines.map((line) => [line]))
        reader.close()
      }),
      { numRuns: 1000 },
    )
  })
})

describe('a reader that counts', () => {
  it('counts the tokens of the values it would return', () => {
    fc.assert(
      fc.property(csvBytes, cuts, fc.constantFrom(0, 1), fc.boolean(), (bytes, at, column, inPlace) => {
        const reader = kernel.csvReader({ columns: [column] })
        const counter = kernel.counter({ tokens: { split: ' ' }, lower: 'before' })
        const expected = csvReference(bytes, { columns: [column] })
        const ends = [...at.map((cut) => cut % (bytes.length + 1)).sort((a, b) => a - b), bytes.length]
        let from = 0
        let rows = 0
        ends.forEach((end, i) => {
          const chunk = bytes.subarray(from, end)
          const isLast = i === ends.length - 1
          if (inPlace && !isLast) {
            reader.room().set(chunk)
            rows += reader.countFilled(counter, chunk.length).rows
          } else rows += reader.count(counter, chunk, isLast).rows
          from = end
        })
        const [{ keys, values }] = counter.drain().partitions as [
          { keys: Parameters<typeof textsOf>[0]; values: Float64Array },
        ]
        const counts = new Map(textsOf(keys).map((key, i) => [key, values[i]]))
        expect(rows).toBe(expected.rows.length)
        expect(counts).toEqual(countsOf(expected.rows.flatMap(([value]) => (value as string).toLowerCase().split(' '))))
        reader.close()
        counter.close()
      }),
      { numRuns: 500 },
    )
  })
})

describe('the first row of CSV', () => {
  it('is what the reader reads', () => {
    fc.assert(
      fc.property(csvBytes, (bytes) => {
        const first = firstCsvRow(bytes, { last: true })
        fc.pre(first !== undefined)
        const { rows, problems } = csvReference(bytes, { columns: Array.from(first.keys()) })
        fc.pre(problems[0]?.row !== 0)
        expect(first).toEqual(rows[0])
      }),
      { numRuns: 1000 },
    )
  })

  it('needs its end', () => {
    expect(firstCsvRow(bytesOf('\ufeffa,"b ""c"""\r\n1'))).toEqual(['a', 'b "c"'])
    expect(firstCsvRow(bytesOf('a,b'))).toBeUndefined()
    expect(firstCsvRow(bytesOf('a,b'), { last: true })).toEqual(['a', 'b'])
    expect(firstCsvRow(bytesOf('a;b\n'), { delimiter: ';' })).toEqual(['a', 'b'])
    expect(firstCsvRow(bytesOf('"a\n'))).toBeUndefined()
    expect(firstCsvRow(bytesOf(''), { last: true })).toBeUndefined()
  })
})
