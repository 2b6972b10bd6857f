// Writes a matrix that comes in bands. A reader never sees half a file: it gets its name when it is whole.
import { randomBytes } from 'node:crypto'
import { type FileHandle, open, rename, rm } from 'node:fs/promises'
import { extname } from 'node:path'
import { npyBytes, npyHeader } from '../../codec/npy.ts'
import { type Band, type FileShape, fileError, withFile } from './band.ts'
import { csvText, numberText } from './csv.ts'

export interface WriteFileOptions {
  /** Of CSV. Default: a comma; a tab in `.tsv`. */
  readonly delimiter?: string
  /** Of Matrix Market: all elements, or those that are not zero. Default 'array'. */
  readonly format?: 'array' | 'coordinate'
}

/**
 * Writes `.npy`, `.csv` (also `.tsv`, `.txt`) and `.mtx` files; what was there is replaced. The bands follow each other from
 * row 0 on. Throws MATRIX_FILE.
 */
export async function writeMatrixFile(
  path: string,
  shape: FileShape,
  bands: AsyncIterable<Band>,
  options: WriteFileOptions = {},
): Promise<void> {
  const write = writerOf(path, options)
  const partial = `${path}.${randomBytes(6).toString('hex')}.partial`
  await withFile(path, 'written', async () => {
    const file = await open(partial, 'wx')
    try {
      try {
        await write(new Output(file), shape, inOrder(path, shape, bands), `${partial}.scratch`)
        await file.sync()
      } finally {
        await file.close()
      }
      await rename(partial, path)
    } catch (error) {
      await rm(partial, { force: true })
      throw error
    }
  })
}

type Write = (output: Output, shape: FileShape, bands: AsyncIterable<Band>, scratch: string) => Promise<void>

function writerOf(path: string, { delimiter, format = 'array' }: WriteFileOptions): Write {
  const extension = extname(path).toLowerCase()
  switch (extension) {
    case '.npy':
      return writeNpy
    case '.csv':
    case '.tsv':
    case '.txt':
      return (output, _, bands) => writeCsv(output, bands, delimiter ?? (extension === '.tsv' ? '\t' : ','))
    case '.mtx':
      return format === 'array' ? writeArray : writeCoordinates
    default:
      throw fileError(path, 'expected a name that ends in .npy, .csv, .tsv, .txt or .mtx')
  }
}

/** All rows, each once. */
async function* inOrder(path: string, { rows, cols }: FileShape, bands: AsyncIterable<Band>): AsyncGenerator<Band> {
  let row = 0
  for await (const band of bands) {
    if (band.row !== row || band.cols !== cols || band.data.length !== band.rows * cols) {
      throw fileError(
        path,
        `expected rows of ${cols} from row ${row} on, got a band of ${band.cols} at row ${band.row}`,
      )
    }
    yield band
    row += band.rows
  }
  if (row !== rows) throw fileError(path, `expected ${rows} rows, got ${row}`)
}

/** Appends to a file, and collects what is small. */
class Output {
  readonly #file: FileHandle
  #text = ''

  constructor(file: FileHandle) {
    this.#file = file
  }

  async bytes(bytes: Uint8Array): Promise<void> {
    for (let at = 0; at < bytes.length;) {
      const { bytesWritten } = await this.#file.write(bytes, at, bytes.length - at)
      at += bytesWritten
    }
  }

  /** Undefined where there is nothing to wait for. */
  text(text: string): Promise<void> | undefined {
    this.#text += text
    return this.#text.length < 256 * 1024 ? undefined : this.flush()
  }

  async flush(): Promise<void> {
    const text = this.#text
    this.#text = ''
    await this.bytes(Buffer.from(text, 'latin1'))
  }

  /** Overwrites what was written. */
  async overwrite(position: number, text: string): Promise<void> {
    await this.#file.write(text, position, 'latin1')
  }
}

async function writeNpy(output: Output, { rows, cols, dtype }: FileShape, bands: AsyncIterable<Band>): Promise<void> {
  await output.bytes(npyHeader(dtype === 'f64' ? 'f8' : 'f4', [rows, cols]))
  for await (const { data } of bands) await output.bytes(npyBytes(dtype === 'f64' ? doubles(data) : singles(data)))
}

const doubles = (data: Band['data']): Float64Array => (data instanceof Float64Array ? data : Float64Array.from(data))
const singles = (data: Band['data']): Float32Array => (data instanceof Float32Array ? data : Float32Array.from(data))

async function writeCsv(output: Output, bands: AsyncIterable<Band>, delimiter: string): Promise<void> {
  for await (const band of bands) for (const text of csvText(band, delimiter)) await output.text(text)
  await output.flush()
}

/** Column by column: the columns are gathered in a scratch file first. */
async function writeArray(
  output: Output,
  { rows, cols }: FileShape,
  bands: AsyncIterable<Band>,
  path: string,
): Promise<void> {
  const scratch = await open(path, 'wx+', 0o600)
  try {
    for await (const band of bands) {
      const column = new Float64Array(band.rows)
      for (let col = 0; col < cols; col++) {
        for (let k = 0; k < band.rows; k++) column[k] = band.data[k * cols + col] ?? 0
        await writeAll(scratch, column, (col * rows + band.row) * 8)
      }
    }
    await output.text(`%%MatrixMarket matrix array real general\n${rows} ${cols}\n`)
    const part = new Float64Array(32 * 1024)
    for (let at = 0; at < rows * cols;) {
      const { bytesRead } = await scratch.read(part, 0, Math.min(part.length, rows * cols - at) * 8, at * 8)
      const whole = Math.floor(bytesRead / 8)
      if (whole === 0) throw fileError(path, 'the scratch file became shorter')
      for (let k = 0; k < whole; k++) {
        const full = output.text(`${numberText(part[k] ?? 0)}\n`)
        if (full) await full
      }
      at += whole
    }
    await output.flush()
  } finally {
    await scratch.close()
    await rm(path, { force: true })
  }
}

async function writeAll(file: FileHandle, column: Float64Array, position: number): Promise<void> {
  for (let at = 0; at < column.byteLength;) {
    const { bytesWritten } = await file.write(column, at, column.byteLength - at, position + at)
    at += bytesWritten
  }
}

/** How many entries there are is known at the end: a comment in front of the sizes leaves room for any number. */
async function writeCoordinates(output: Output, { rows, cols }: FileShape, bands: AsyncIterable<Band>): Promise<void> {
  const banner = '%%MatrixMarket matrix coordinate real general\n'
  const sizes = (count: number): string => `${rows} ${cols} ${count}\n`
  const room = sizes(Number.MAX_SAFE_INTEGER).length + 2
  const head = (count: number): string => `%${' '.repeat(room - sizes(count).length - 2)}\n${sizes(count)}`
  await output.text(banner + head(0))
  let count = 0
  for await (const { row, data } of bands) {
    for (let k = 0; k < data.length; k++) {
      const value = data[k] ?? 0
      if (value === 0) continue
      count++
      const full = output.text(`${row + Math.floor(k / cols) + 1} ${(k % cols) + 1} ${numberText(value)}\n`)
      if (full) await full
    }
  }
  await output.flush()
  await output.overwrite(banner.length, head(count))
}
