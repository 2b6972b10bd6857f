// Opens a matrix in a file by the end of its name.
import { extname } from 'node:path'
import { type FloatType, type MatrixFile, fileError, withFile } from './band.ts'
import { openCsv } from './csv.ts'
import { openMarket } from './market.ts'
import { openNpy } from './npy.ts'

export interface ReadFileOptions {
  /** Default: f32 where the file is NPY and has elements of at most 4 bytes that are floats, else f64. */
  readonly dtype?: FloatType
  /** Of CSV. Default: the first of comma, semicolon, tab and blanks that is in the first row. */
  readonly delimiter?: string
}

/**
 * Opens `.npy`, `.csv` (also `.tsv`, `.txt`) and `.mtx` files. The shape is known then, the elements are read as bands. A vector
 * in NPY is one column. Throws MATRIX_FILE with the file, and the line where it is text.
 */
export async function openMatrixFile(path: string, options: ReadFileOptions = {}): Promise<MatrixFile> {
  const { dtype, delimiter } = options
  return withFile(path, 'read', () => {
    switch (extname(path).toLowerCase()) {
      case '.npy':
        return openNpy(path, { dtype })
      case '.csv':
      case '.tsv':
      case '.txt':
        return openCsv(path, { dtype: dtype ?? 'f64', delimiter })
      case '.mtx':
        return openMarket(path, { dtype: dtype ?? 'f64' })
      default:
        throw fileError(path, 'expected a name that ends in .npy, .csv, .tsv, .txt or .mtx')
    }
  })
}
