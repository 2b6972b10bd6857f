// Matrices in files are read and written in bands: some whole rows at a time, in order, so that a file of any size needs the
// memory of one band.
import { MatrixError } from '../../errors.ts'

/** Elements of a matrix in memory or in blocks. */
export type Floats = Float64Array | Float32Array
export type FloatType = 'f64' | 'f32'

/** Rows `row` to `row + rows - 1`, all columns. */
export interface Band {
  readonly row: number
  readonly rows: number
  readonly cols: number
  /** `rows * cols` elements in C order. */
  readonly data: Floats
}

export interface FileShape {
  readonly rows: number
  readonly cols: number
  readonly dtype: FloatType
}

/** A file that was opened, and whose shape is known. */
export interface MatrixFile extends FileShape {
  /** Bands of `height` rows, the last one may be lower. Each has data of its own. To be asked for once. */
  bands(height: number): AsyncIterable<Band>
  close(): Promise<void>
}

/** Zeros. Throws MATRIX_FILE where no memory holds so many. */
export function floats(dtype: FloatType, length: number): Floats {
  try {
    return dtype === 'f64' ? new Float64Array(length) : new Float32Array(length)
  } catch (cause) {
    throw new MatrixError('MATRIX_FILE', `rows of ${length} elements together do not fit in memory`, { cause })
  }
}

/** MATRIX_FILE, with the line where there is one. */
export function fileError(path: string, reason: string, line?: number, cause?: unknown): MatrixError {
  const place = line === undefined ? path : `${path}:${line}`
  return new MatrixError('MATRIX_FILE', `${place}: ${reason}`, cause === undefined ? {} : { cause })
}

/** What the system says of a file becomes MATRIX_FILE; what is coded already stays. */
export async function withFile<T>(path: string, doing: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (error) {
    if (!(error instanceof Error) || !('syscall' in error)) throw error
    throw fileError(path, `cannot be ${doing}: ${error.message}`, undefined, error)
  }
}
