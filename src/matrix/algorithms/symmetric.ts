// Small symmetric matrices, in this process: Cholesky's factorisation and Jacobi's eigenvalues (Golub and Van Loan, Matrix
// Computations, 4.2 and 8.5). Elements are in C order.

/** A lower triangle L with L Lᵀ = a, or undefined where `a` is not positive definite. */
export function cholesky(a: Float64Array, n: number): Float64Array | undefined {
  const l = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = a[i * n + j] as number
      for (let k = 0; k < j; k++) sum -= (l[i * n + k] as number) * (l[j * n + k] as number)
      if (i !== j) l[i * n + j] = sum / (l[j * n + j] as number)
      // What is left of the diagonal of a singular matrix are rounding errors.
      else if (sum > n * Number.EPSILON * (a[i * n + i] as number)) l[i * n + i] = Math.sqrt(sum)
      else return undefined
    }
  }
  return l
}

/** Solves L Lᵀ x = b for `columns` right sides. */
export function solve(l: Float64Array, n: number, b: Float64Array, columns: number): Float64Array {
  const x = b.slice()
  for (let c = 0; c < columns; c++) {
    for (let i = 0; i < n; i++) {
      let sum = x[i * columns + c] as number
      for (let k = 0; k < i; k++) sum -= (l[i * n + k] as number) * (x[k * columns + c] as number)
      x[i * columns + c] = sum / (l[i * n + i] as number)
    }
    for (let i = n - 1; i >= 0; i--) {
      let sum = x[i * columns + c] as number
      for (let k = i + 1; k < n; k++) sum -= (l[k * n + i] as number) * (x[k * columns + c] as number)
      x[i * columns + c] = sum / (l[i * n + i] as number)
    }
  }
  return x
}

export interface Eigen {
  /** Descending. */
  readonly values: Float64Array
  /** The vector of value k is column k. */
  readonly vectors: Float64Array
}

const mostSweeps = 60

/** All eigenvalues and vectors of a symmetric matrix, by rotations that make what is beside the diagonal zero. */
export function eigen(symmetric: Float64Array, n: number): Eigen {
  const a = symmetric.slice()
  const v = new Float64Array(n * n)
  for (let i = 0; i < n; i++) v[i * n + i] = 1
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let isDiagonal = true
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const beside = a[p * n + q] as number
        const [app, aqq] = [a[p * n + p] as number, a[q * n + q] as number]
        if (Math.abs(beside) <= Number.EPSILON * Math.sqrt(Math.abs(app * aqq)) || beside === 0) continue
        isDiagonal = false
        const theta = (aqq - app) / (2 * beside)
        const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
        const c = 1 / Math.sqrt(t * t + 1)
        rotate(a, n, p, q, c, t * c, true)
        rotate(v, n, p, q, c, t * c, false)
      }
    }
    if (isDiagonal) break
  }
  const order = Array.from({ length: n }, (_, k) => k).sort(
    (x, y) => (a[y * n + y] as number) - (a[x * n + x] as number),
  )
  const vectors = new Float64Array(n * n)
  for (let i = 0; i < n; i++) for (let k = 0; k < n; k++) vectors[i * n + k] = v[i * n + (order[k] as number)] as number
  return { values: Float64Array.from(order, (k) => a[k * n + k] as number), vectors }
}

/** Columns p and q, and with `both` rows p and q, turned into each other. */
function rotate(a: Float64Array, n: number, p: number, q: number, c: number, s: number, both: boolean): void {
  for (let k = 0; k < n; k++) {
    const [x, y] = [a[k * n + p] as number, a[k * n + q] as number]
    a[k * n + p] = c * x - s * y
    a[k * n + q] = s * x + c * y
  }
  if (!both) return
  for (let k = 0; k < n; k++) {
    const [x, y] = [a[p * n + k] as number, a[q * n + k] as number]
    a[p * n + k] = c * x - s * y
    a[q * n + k] = s * x + c * y
  }
}
