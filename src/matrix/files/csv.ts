// Matrices as text, a line for each row. The delimiter is found in the first row; a first row without any number is a header;
// blank lines and lines that begin with # are left out, as numpy.loadtxt does.
import { type Band, type FloatType, type MatrixFile, fileError, floats } from './band.ts'
import { lineGroups, parseNumber } from './lines.ts'

export interface CsvReadOptions {
  readonly dtype: FloatType
  /** Default: the first of comma, semicolon, tab and blanks that is in the first row. */
  readonly delimiter?: string | undefined
}

interface Layout {
  readonly cut: (line: string) => string[]
  readonly cols: number
  readonly rows: number
  /** The number of the header's line; 0: there is none. */
  readonly header: number
}

/** Reads the file once to know its shape, and again for its bands. */
export async function openCsv(path: string, options: CsvReadOptions): Promise<MatrixFile> {
  const { dtype } = options
  const layout = await layoutOf(path, options.delimiter)
  const { rows, cols } = layout
  return { rows, cols, dtype, bands: (height) => bands(path, layout, dtype, height), close: async () => undefined }
}

const isLeftOut = (line: string): boolean => {
  const start = line.trimStart()
  return start === '' || start.startsWith('#')
}

function cutter(delimiter: string): (line: string) => string[] {
  if (delimiter === ' ') return (line) => line.trim().split(/\s+/)
  return (line) => line.split(delimiter).map(unquoted)
}

function unquoted(field: string): string {
  const text = field.trim()
  return text.length > 1 && text.startsWith('"') && text.endsWith('"') ? text.slice(1, -1) : text
}

async function layoutOf(path: string, delimiter: string | undefined): Promise<Layout> {
  let layout: Layout | undefined
  let rows = 0
  for await (const { first, texts } of lineGroups(path)) {
    for (const [k, text] of texts.entries()) {
      if (isLeftOut(text)) continue
      if (layout === undefined) {
        const cut = cutter(delimiter ?? [',', ';', '\t'].find((one) => text.includes(one)) ?? ' ')
        const fields = cut(text)
        const header = fields.some((field) => parseNumber(field) !== undefined) ? 0 : first + k
        layout = { cut, cols: fields.length, rows: 0, header }
        if (header > 0) continue
      }
      rows++
    }
  }
  if (layout === undefined) throw fileError(path, 'there is no row')
  return { ...layout, rows }
}

async function* bands(path: string, layout: Layout, dtype: FloatType, height: number): AsyncGenerator<Band> {
  const { cols, rows } = layout
  let row = 0
  let filled = 0
  let band = floats(dtype, Math.min(height, rows) * cols)
  for await (const { first, texts } of lineGroups(path)) {
    for (const [k, text] of texts.entries()) {
      const line = first + k
      if (line === layout.header || isLeftOut(text)) continue
      const fields = layout.cut(text)
      if (fields.length !== cols) {
        throw fileError(path, `expected ${cols} numbers as in the first row, got ${fields.length}`, line)
      }
      if (row + filled >= rows) throw fileError(path, 'the file grew while it was read', line)
      let at = filled * cols
      for (const field of fields) {
        const value = parseNumber(field)
        if (value === undefined) throw fileError(path, `expected a number, got ${shown(field)}`, line)
        band[at++] = value
      }
      filled++
      if (filled < height) continue
      yield { row, rows: filled, cols, data: band }
      row += filled
      filled = 0
      band = floats(dtype, Math.min(height, rows - row) * cols)
    }
  }
  if (filled > 0) yield { row, rows: filled, cols, data: band.subarray(0, filled * cols) }
  if (row + filled < rows) throw fileError(path, 'the file became shorter while it was read')
}

const shown = (text: string): string => JSON.stringify(text.slice(0, 40))

/** Numbers as NumPy reads them again: exact. */
export function numberText(value: number): string {
  if (Number.isFinite(value)) return Object.is(value, -0) ? '-0' : String(value)
  if (Number.isNaN(value)) return 'nan'
  return value > 0 ? 'inf' : '-inf'
}

/** The rows of a band as text. */
export function* csvText(band: Band, delimiter: string): Generator<string> {
  const { rows, cols, data } = band
  let text = ''
  for (let row = 0; row < rows; row++) {
    for (let col = 0; col < cols; col++) text += (col === 0 ? '' : delimiter) + numberText(data[row * cols + col] ?? 0)
    text += '\n'
    if (text.length < 256 * 1024) continue
    yield text
    text = ''
  }
  if (text !== '') yield text
}
