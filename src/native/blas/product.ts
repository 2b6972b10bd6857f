// What is multiplied, and what multiplies it.

/** Values of a matrix. */
export type Values = Float64Array | Float32Array

/** A matrix within an array: the element (r, c) is `data[offset + r * row + c * column]`. */
export interface Operand {
  readonly data: Values
  readonly offset: number
  readonly row: number
  readonly column: number
}

/** `c += alpha * a b`, where a is m x k and b is k x n; all three of one type, and rows of c are contiguous. */
export interface Product {
  readonly m: number
  readonly n: number
  readonly k: number
  readonly alpha: number
  readonly a: Operand
  readonly b: Operand
  readonly c: { readonly data: Values; readonly offset: number; readonly row: number }
}

export interface Blas {
  readonly kind: 'openblas' | 'wasm'
  /** For people: library, version, kernels. */
  readonly description: string
  /** A promise where the work goes on beside the event loop: no array of the product may be touched before it resolves. */
  gemm(product: Product): void | Promise<void>
}

/** The rows and columns of an operand one after the other, for kernels that cannot take its strides. */
export function compact({ data, offset, row, column }: Operand, rows: number, columns: number): Operand {
  const copy = data instanceof Float64Array ? new Float64Array(rows * columns) : new Float32Array(rows * columns)
  for (let r = 0, to = 0; r < rows; r++) {
    for (let c = 0, from = offset + r * row; c < columns; c++, from += column) copy[to++] = data[from] as number
  }
  return { data: copy, offset: 0, row: columns, column: 1 }
}
