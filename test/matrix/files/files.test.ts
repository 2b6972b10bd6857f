import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { encodeNpy, npyBytes, npyHeader } from '../../../src/codec/npy.ts'
import { MatrixError } from '../../../src/errors.ts'
import type { Band, FloatType, Floats } from '../../../src/matrix/files/band.ts'
import { openMarket } from '../../../src/matrix/files/market.ts'
import { openMatrixFile, type ReadFileOptions } from '../../../src/matrix/files/read.ts'
import { writeMatrixFile, type WriteFileOptions } from '../../../src/matrix/files/write.ts'

let dir: string
beforeAll(async () => {
  dir = await mkdtemp(join(tmpdir(), 'gearmill-files-'))
})
afterAll(async () => {
  await rm(dir, { recursive: true, force: true })
})

interface Whole {
  readonly rows: number
  readonly cols: number
  readonly dtype: FloatType
  readonly data: Floats
}

async function* cut({ rows, cols, data }: Whole, height: number): AsyncGenerator<Band> {
  for (let row = 0; row < rows; row += height) {
    const count = Math.min(height, rows - row)
    yield { row, rows: count, cols, data: data.slice(row * cols, (row + count) * cols) }
  }
}

async function joined(file: Awaited<ReturnType<typeof openMarket>>, height: number): Promise<Whole> {
  const { rows, cols, dtype } = file
  const values: number[] = []
  try {
    let next = 0
    for await (const band of file.bands(height)) {
      expect([band.row, band.cols, band.data.length]).toEqual([next, cols, band.rows * cols])
      expect(band.rows).toBe(Math.min(height, rows - next))
      next += band.rows
      values.push(...band.data)
    }
    expect(next).toBe(rows)
  } finally {
    await file.close()
  }
  return { rows, cols, dtype, data: dtype === 'f64' ? Float64Array.from(values) : Float32Array.from(values) }
}

async function read(path: string, height = 3, options: ReadFileOptions = {}): Promise<Whole> {
  return joined(await openMatrixFile(path, options), height)
}

async function given(name: string, content: string | Uint8Array): Promise<string> {
  const path = join(dir, name)
  await writeFile(path, content)
  return path
}

async function refused(name: string, content: string | Uint8Array): Promise<MatrixError> {
  const path = await given(name, content)
  const error: unknown = await read(path).then(
    () => undefined,
    (thrown: unknown) => thrown,
  )
  expect(error).toBeInstanceOf(MatrixError)
  const { code, message } = error as MatrixError
  expect(code).toBe('MATRIX_FILE')
  expect(message.startsWith(path)).toBe(true)
  return error as MatrixError
}

const anyMatrix = (least: number): fc.Arbitrary<Whole> =>
  fc
    .record({
      rows: fc.integer({ min: least, max: 12 }),
      cols: fc.integer({ min: least, max: 9 }),
      single: fc.boolean(),
    })
    .chain(({ rows, cols, single }) =>
      fc
        .array(
          fc.oneof(single ? fc.float() : fc.double(), fc.constantFrom(0, -0, 1, Number.NaN, Infinity, -Infinity)),
          {
            minLength: rows * cols,
            maxLength: rows * cols,
          },
        )
        .map((values) => ({
          rows,
          cols,
          dtype: single ? ('f32' as const) : ('f64' as const),
          data: single ? Float32Array.from(values) : Float64Array.from(values),
        })),
    )

describe.each([
  ['.npy', 'm.npy', {}, 0],
  ['.csv', 'm.csv', {}, 1],
  ['.csv with semicolons', 'm2.csv', { delimiter: ';' }, 1],
  ['.tsv', 'm.tsv', {}, 1],
  ['.mtx, dense', 'm.mtx', {}, 0],
] satisfies [string, string, WriteFileOptions, number][])('%s', (_, name, options, least) => {
  test('what was written is read, whatever the heights of the bands', async () => {
    const path = join(dir, name)
    await fc.assert(
      fc.asyncProperty(
        anyMatrix(least),
        fc.integer({ min: 1, max: 13 }),
        fc.integer({ min: 1, max: 13 }),
        async (m, h, k) => {
          await writeMatrixFile(path, m, cut(m, h), options)
          expect(await read(path, k, { dtype: m.dtype })).toEqual(m)
        },
      ),
      { numRuns: 60 },
    )
    expect((await readdir(dir)).filter((file) => file.includes('.partial'))).toEqual([])
  })
})

test('.mtx of what is not zero', async () => {
  const path = join(dir, 'sparse.mtx')
  await fc.assert(
    fc.asyncProperty(anyMatrix(0), fc.integer({ min: 1, max: 13 }), async (m, height) => {
      await writeMatrixFile(path, m, cut(m, height), { format: 'coordinate' })
      // A zero that is left out has no sign.
      const expected = { ...m, data: m.data.map((value) => (value === 0 ? 0 : value)) }
      expect(await read(path, 4, { dtype: m.dtype })).toEqual(expected)
      const inBuckets = await joined(await openMarket(path, { dtype: m.dtype, inMemory: 0 }), height)
      expect(inBuckets).toEqual(expected)
    }),
    { numRuns: 60 },
  )
  expect(await readFile(path, 'latin1')).toMatch(/^%%MatrixMarket matrix coordinate real general\n% +\n\d+ \d+ \d+\n/)
})

test('many elements in any order go through the scratch file', async () => {
  const [rows, cols, dtype] = [40, 90, 'f64' as const]
  const places = Array.from({ length: rows * cols }, (_, k) => (k * 1231) % (rows * cols))
  const lines = places.map((place) => `${Math.floor(place / cols) + 1} ${(place % cols) + 1} ${place + 0.5}`)
  const text = `%%MatrixMarket matrix coordinate real general\n${rows} ${cols} ${lines.length}\n${lines.join('\n')}\n`
  const path = await given('scattered.mtx', text)
  const data = Float64Array.from({ length: rows * cols }, (_, place) => place + 0.5)
  for (const height of [1, 7, 40]) {
    expect(await joined(await openMarket(path, { dtype, inMemory: 100 }), height)).toEqual({ rows, cols, dtype, data })
  }
})

describe('files of other programs', () => {
  test('NPY in Fortran order, of integers, of halves, big-endian, of one dimension', async () => {
    const fortran = Buffer.concat([npyHeader('f8', [3, 2], true), npyBytes(Float64Array.of(1, 3, 5, 2, 4, 6))])
    const expected = { rows: 3, cols: 2, dtype: 'f64', data: Float64Array.of(1, 2, 3, 4, 5, 6) }
    expect(await read(await given('fortran.npy', fortran), 2)).toEqual(expected)
    const big = encodeNpy('i8', [2, 1], BigInt64Array.of(-1n, 2n ** 40n))
    expect(await read(await given('long.npy', big))).toMatchObject({ dtype: 'f64', data: Float64Array.of(-1, 2 ** 40) })
    const halves = encodeNpy('f2', [3], Uint16Array.of(0x3c00, 0xc000, 0x7c00))
    const column = { rows: 3, cols: 1, dtype: 'f32', data: Float32Array.of(1, -2, Infinity) }
    expect(await read(await given('halves.npy', halves), 2)).toEqual(column)
    const text = Buffer.from(encodeNpy('f4', [1, 1], Float32Array.of(0))).toString('latin1')
    const swapped = Buffer.from(text.replace('<f4', '>f4'), 'latin1')
    swapped.writeFloatBE(2.5, swapped.length - 4)
    expect(await read(await given('big.npy', swapped))).toMatchObject({ data: Float32Array.of(2.5) })
  })

  test('CSV of numpy.savetxt, of spreadsheets, with a header', async () => {
    const data = Float64Array.of(1, 2.5, Number.NaN, -Infinity)
    const texts = [
      '# made by numpy\n1.000000000000000000e+00 2.500000000000000000e+00\nnan -inf\n',
      '\u00ef\u00bb\u00bf"x";"y"\r\n"1";"2.5"\r\nNaN;-Infinity\r\n',
      'x,y\n\n+1,2.5\nNAN, -INF',
      '1\t25e-1\n \nnan\t-inf\n',
    ]
    for (const [k, text] of texts.entries()) {
      const path = await given(`other${k}.csv`, Buffer.from(text, 'latin1'))
      expect(await read(path)).toEqual({ rows: 2, cols: 2, dtype: 'f64', data })
    }
  })

  test('Matrix Market with symmetries and patterns', async () => {
    const head = '%%MatrixMarket matrix'
    const files: [string, number[]][] = [
      [
        `${head} coordinate real symmetric\n% a comment\n3 3 4\n1 1 1\n2 1 2e0\n3 2 1D1\n3 3 4\n`,
        [1, 2, 0, 2, 0, 10, 0, 10, 4],
      ],
      [`${head} coordinate integer skew-symmetric\n3 3 1\n3 1 5\n`, [0, 0, -5, 0, 0, 0, 5, 0, 0]],
      [`${head} coordinate pattern general\n3 3 2\n1 3\n2 2\n`, [0, 0, 1, 0, 1, 0, 0, 0, 0]],
      [`${head} array real symmetric\n3 3\n1\n2\n3\n4\n5\n6\n`, [1, 2, 3, 2, 4, 5, 3, 5, 6]],
      [`${head} array real skew-symmetric\n3 3\n1\n2\n3\n`, [0, -1, -2, 1, 0, -3, 2, 3, 0]],
      [`${head.toUpperCase()} ARRAY Integer General\n3 3\n1 2 3\n4 5 6\n7 8 9\n`, [1, 4, 7, 2, 5, 8, 3, 6, 9]],
      // Entries of one place are added up, as scipy does.
      [`${head} coordinate real general\n3 3 2\n1 1 1.5\n1 1 2\n`, [3.5, 0, 0, 0, 0, 0, 0, 0, 0]],
    ]
    for (const [k, [text, values]] of files.entries()) {
      const path = await given(`market${k}.mtx`, text)
      expect(await read(path, 2)).toEqual({ rows: 3, cols: 3, dtype: 'f64', data: Float64Array.from(values) })
    }
  })
})

describe('bad files are refused, with the line', () => {
  const market = '%%MatrixMarket matrix coordinate real general\n'
  test.each([
    ['a.csv', '1,2\n3,x\n', /:2: expected a number, got "x"/],
    ['b.csv', 'a,b\n1,2\n\n3\n', /:4: expected 2 numbers as in the first row, got 1/],
    ['c.csv', '# nothing\n', /no row/],
    ['d.csv', '1,2\n3,0x10\n', /:2: expected a number, got "0x10"/],
    ['e.csv', '1,2\n3,\n', /:2: expected a number, got ""/],
    ['a.npy', Buffer.from('not an array'), /magic/],
    ['b.npy', encodeNpy('f8', [1, 1, 1], Float64Array.of(1)), /at most two dimensions/],
    ['c.npy', encodeNpy('c16', [1, 1], Float64Array.of(1, 1)), /complex/],
    ['d.npy', encodeNpy('f8', [2], Float64Array.of(1, 2)).subarray(0, -1), /expected 144 bytes .* got 143/],
    ['a.mtx', 'matrix\n', /:1: expected '%%MatrixMarket/],
    ['b.mtx', '%%MatrixMarket matrix coordinate complex general\n1 1 0\n', /:1: elements that are 'complex'/],
    ['c.mtx', `${market}2 2\n`, /:2: expected the numbers of rows, columns and entries/],
    ['d.mtx', `${market}2 2 1\n% ok\n3 1 5\n`, /:4: \(3, 1\) is not a place/],
    ['e.mtx', `${market}2 2 1\n1 1 five\n`, /:3: expected a number, got "five"/],
    ['f.mtx', `${market}2 2 2\n1 1 5\n`, /expected 2 elements, got 1/],
    ['g.mtx', `${market}2 2 1\n1 1 5\n1 2 5\n`, /:4: more than the 1 entries/],
    ['h.mtx', '%%MatrixMarket matrix array real general\n1 1\n5 6\n', /:3: more than the 1 elements/],
    ['i.mtx', '%%MatrixMarket matrix coordinate real symmetric\n2 2 1\n1 2 5\n', /:3: an element above the diagonal/],
    ['j.mtx', '%%MatrixMarket matrix coordinate real symmetric\n2 3 0\n', /:2: a symmetric matrix of 2 x 3/],
    ['k.mtx', '', /the file is empty/],
    ['m.xls', '', /expected a name that ends in/],
  ])('%s', async (name, content, message) => {
    expect((await refused(name, content)).message).toMatch(message)
  })

  test('files that are not there, or cannot be written', async () => {
    const missing = join(dir, 'missing', 'm.npy')
    await expect(openMatrixFile(missing)).rejects.toMatchObject({ code: 'MATRIX_FILE' })
    const one: Whole = { rows: 1, cols: 1, dtype: 'f64', data: Float64Array.of(1) }
    await expect(writeMatrixFile(missing, one, cut(one, 1))).rejects.toMatchObject({ code: 'MATRIX_FILE' })
  })

  test('a write that fails leaves what was there', async () => {
    const one: Whole = { rows: 1, cols: 1, dtype: 'f64', data: Float64Array.of(1) }
    const path = join(dir, 'kept.npy')
    await writeMatrixFile(path, one, cut(one, 1))
    const broken = async function* (): AsyncGenerator<Band> {
      yield* cut(one, 1)
      throw new TypeError('no more')
    }
    await expect(writeMatrixFile(path, { ...one, rows: 2 }, broken())).rejects.toThrow('no more')
    await expect(writeMatrixFile(path, { ...one, rows: 2 }, cut(one, 1))).rejects.toThrow(/expected 2 rows, got 1/)
    expect(await read(path)).toEqual(one)
    expect((await readdir(dir)).filter((file) => file.includes('.partial'))).toEqual([])
  })
})
