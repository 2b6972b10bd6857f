// Matrices as arrays of rows: what the operations mean, in the fewest words.

export type Rows = number[][]

export const make = (rows: number, cols: number, f: (r: number, c: number) => number): Rows =>
  Array.from({ length: rows }, (_, r) => Array.from({ length: cols }, (_, c) => f(r, c)))

const at = (m: Rows, r: number, c: number): number => m[r]?.[c] as number

/** A row, a column or a cell is repeated. */
export const both = (a: Rows, b: Rows, f: (a: number, b: number) => number, width: (m: Rows) => number): Rows => {
  const rows = a.length === 1 ? b.length : a.length
  const cols = width(a) === 1 ? width(b) : width(a)
  const of = (m: Rows, r: number, c: number): number => at(m, m.length === 1 ? 0 : r, width(m) === 1 ? 0 : c)
  return make(rows, cols, (r, c) => f(of(a, r, c), of(b, r, c)))
}

export const each = (m: Rows, f: (value: number, r: number, c: number) => number): Rows =>
  m.map((row, r) => row.map((value, c) => f(value, r, c)))

export const product = (a: Rows, b: Rows, cols: number): Rows =>
  make(a.length, cols, (r, c) => b.reduce((sum, _, k) => sum + at(a, r, k) * at(b, k, c), 0))

export const turned = (m: Rows, cols: number): Rows => make(cols, m.length, (r, c) => at(m, c, r))

export const part = (m: Rows, row: number, rowEnd: number, col: number, colEnd: number): Rows =>
  m.slice(row, rowEnd).map((r) => r.slice(col, colEnd))

/** One row for axis 0, one column for axis 1. */
export const fold = (m: Rows, cols: number, axis: 0 | 1 | 'all', f: (values: number[]) => number): Rows => {
  if (axis === 'all') return [[f(m.flat())]]
  return axis === 1
    ? m.map((row) => [f(row)])
    : [Array.from({ length: cols }, (_, c) => f(m.map((row) => row[c] as number)))]
}

export const total = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0)
