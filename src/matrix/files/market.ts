// Matrix Market files, dense (`array`, column by column) and sparse (`coordinate`, in any order), with their symmetries.
// https://math.nist.gov/MatrixMarket/formats.html
import { randomBytes } from 'node:crypto'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type Band, type FloatType, type MatrixFile, fileError } from './band.ts'
import { lineGroups, parseNumber } from './lines.ts'
import { Spill } from './spill.ts'

export interface MarketReadOptions {
  readonly dtype: FloatType
  /** Elements of a matrix that is put together in memory. */
  readonly inMemory?: number
}

interface Layout {
  readonly format: 'array' | 'coordinate'
  readonly pattern: boolean
  /** What element (j, i) is where the file has (i, j): nothing, the same, or the negative. */
  readonly mirror: 0 | 1 | -1
  readonly rows: number
  readonly cols: number
  /** How many elements the file holds. */
  readonly count: number
  /** The number of the line with the sizes. */
  readonly line: number
}

const symmetries = new Map<string, Layout['mirror']>([
  ['general', 0],
  ['symmetric', 1],
  // Of real numbers the same.
  ['hermitian', 1],
  ['skew-symmetric', -1],
])

export async function openMarket(path: string, options: MarketReadOptions): Promise<MatrixFile> {
  const layout = await layoutOf(path)
  const { rows, cols } = layout
  const { dtype } = options
  return { rows, cols, dtype, bands: (height) => bands(path, layout, options, height), close: async () => undefined }
}

const isLeftOut = (line: string): boolean => line.startsWith('%') || line.trim() === ''

async function layoutOf(path: string): Promise<Layout> {
  let banner: readonly string[] | undefined
  for await (const { first, texts } of lineGroups(path)) {
    for (const [k, text] of texts.entries()) {
      if (banner === undefined) banner = bannerOf(path, text)
      else if (!isLeftOut(text)) return sizesOf(path, banner, text, first + k)
    }
  }
  throw fileError(path, banner === undefined ? 'the file is empty' : 'there is no line with the sizes')
}

function bannerOf(path: string, text: string): readonly string[] {
  const [mark = '', ...words] = text.trim().split(/\s+/)
  const [object, format = '', field = '', symmetry = ''] = words.map((word) => word.toLowerCase())
  if (mark.toLowerCase() !== '%%matrixmarket' || object !== 'matrix') {
    throw fileError(path, "expected '%%MatrixMarket matrix ...'", 1)
  }
  if (format !== 'array' && format !== 'coordinate') throw fileError(path, `format '${format}' is not known`, 1)
  const fields = format === 'array' ? ['real', 'double', 'integer'] : ['real', 'double', 'integer', 'pattern']
  if (!fields.includes(field)) throw fileError(path, `elements that are '${field}' cannot be read`, 1)
  if (!symmetries.has(symmetry)) throw fileError(path, `symmetry '${symmetry}' is not known`, 1)
  return [format, field, symmetry]
}

function sizesOf(path: string, banner: readonly string[], text: string, line: number): Layout {
  const [format, field, symmetry = ''] = banner
  const sizes = text.trim().split(/\s+/).map(Number)
  const names = format === 'array' ? 'rows and columns' : 'rows, columns and entries'
  if (sizes.length !== names.split(' ').length - 1 || sizes.some((size) => !Number.isSafeInteger(size) || size < 0)) {
    throw fileError(path, `expected the numbers of ${names}, got ${JSON.stringify(text.trim().slice(0, 80))}`, line)
  }
  const [rows = 0, cols = 0, entries = 0] = sizes
  const mirror = symmetries.get(symmetry) ?? 0
  if (mirror !== 0 && rows !== cols) throw fileError(path, `a ${symmetry} matrix of ${rows} x ${cols}`, line)
  const triangle = mirror === 1 ? (rows * (rows + 1)) / 2 : (rows * (rows - 1)) / 2
  const count = format === 'coordinate' ? entries : mirror === 0 ? rows * cols : triangle
  const kind = format === 'coordinate' ? 'coordinate' : 'array'
  return { format: kind, pattern: field === 'pattern', mirror, rows, cols, count, line }
}

async function* bands(
  path: string,
  layout: Layout,
  { dtype, inMemory }: MarketReadOptions,
  height: number,
): AsyncGenerator<Band> {
  const { rows, cols, count, line } = layout
  const scratch = join(tmpdir(), `gearmill-matrix-${randomBytes(8).toString('hex')}`)
  const spill = new Spill({ rows, cols, dtype, height, scratch, ...(inMemory === undefined ? {} : { inMemory }) })
  try {
    const elements = new Elements(path, layout, spill)
    for await (const { first, texts } of lineGroups(path)) {
      for (const [k, text] of texts.entries()) {
        if (first + k > line && !isLeftOut(text)) elements.read(text, first + k)
      }
    }
    if (elements.seen !== count) throw fileError(path, `expected ${count} elements, got ${elements.seen}`)
    yield* spill.bands()
  } finally {
    spill.close()
  }
}

/** Lines that follow the sizes. */
class Elements {
  seen = 0
  readonly #path: string
  readonly #layout: Layout
  readonly #spill: Spill
  // The next place of an array: down each column, below the diagonal where the rest follows from it.
  #row = 0
  #col = 0

  constructor(path: string, layout: Layout, spill: Spill) {
    this.#path = path
    this.#layout = layout
    this.#spill = spill
    this.#row = layout.mirror === -1 ? 1 : 0
  }

  read(text: string, line: number): void {
    const words = text.trim().split(/\s+/)
    if (this.#layout.format === 'array') for (const word of words) this.#next(this.#number(word, line), line)
    else this.#entry(words, line)
  }

  #number(word: string, line: number): number {
    const value = parseNumber(word)
    if (value === undefined) throw this.#error(`expected a number, got ${JSON.stringify(word.slice(0, 40))}`, line)
    return value
  }

  #entry(words: readonly string[], line: number): void {
    const { pattern, rows, cols, count } = this.#layout
    const expected = pattern ? 2 : 3
    if (words.length !== expected) throw this.#error(`expected ${expected} numbers, got ${words.length}`, line)
    const [row, col] = [Number(words[0]), Number(words[1])]
    if (!(Number.isInteger(row) && row >= 1 && row <= rows && Number.isInteger(col) && col >= 1 && col <= cols)) {
      throw this.#error(`(${words[0]}, ${words[1]}) is not a place of a ${rows} x ${cols} matrix, from (1, 1)`, line)
    }
    if (this.seen >= count) throw this.#error(`more than the ${count} entries that the sizes say`, line)
    this.#put(row - 1, col - 1, pattern ? 1 : this.#number(words[2] ?? '', line), line)
  }

  #next(value: number, line: number): void {
    const { rows, count, mirror } = this.#layout
    if (this.seen >= count) throw this.#error(`more than the ${count} elements that the sizes say`, line)
    this.#put(this.#row, this.#col, value, line)
    if (++this.#row < rows) return
    this.#col++
    this.#row = mirror === 0 ? 0 : mirror === 1 ? this.#col : this.#col + 1
  }

  #put(row: number, col: number, value: number, line: number): void {
    const { mirror } = this.#layout
    this.seen++
    if (mirror !== 0 && row < col)
      throw this.#error('an element above the diagonal, which follows from those below', line)
    if (mirror === -1 && row === col) throw this.#error('an element on the diagonal, where there are only zeros', line)
    this.#spill.add(row, col, value)
    if (mirror !== 0 && row !== col) this.#spill.add(col, row, mirror * value)
  }

  #error(reason: string, line: number): Error {
    return fileError(this.#path, reason, line)
  }
}
