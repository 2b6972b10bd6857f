// The largest eigenvalue of a symmetric matrix, by Lanczos' method with full orthogonalisation (Golub and Van Loan, Matrix
// Computations, 10.1): a tridiagonal matrix that grows until its largest eigenvalue does not change any more.

const mostSteps = 300
const enough = 1e-15

/** @param n rows and columns @param g elements in C order */
export function largestEigenvalue(n: number, g: ArrayLike<number>): number {
  if (n === 0) return 0
  for (let k = 0; k < n * n; k++) if (!Number.isFinite(g[k])) return NaN
  const basis: Float64Array[] = [startVector(n)]
  const diagonal: number[] = []
  const beside: number[] = []
  let found = 0
  for (let k = 0; k < Math.min(n, mostSteps); k++) {
    const v = basis[k] as Float64Array
    const w = times(n, g, v)
    diagonal.push(dot(w, v))
    // Twice: once is not enough where the vectors are nearly dependent.
    for (let pass = 0; pass < 2; pass++) for (const u of basis) subtract(w, u, dot(w, u))
    const next = largestOfTridiagonal(diagonal, beside)
    const norm = Math.sqrt(dot(w, w))
    const isSettled = Math.abs(next - found) <= enough * Math.abs(next) && k > 2
    found = next
    if (isSettled || norm <= enough * Math.max(Math.abs(found), Number.MIN_VALUE)) break
    beside.push(norm)
    basis.push(w.map((x) => x / norm))
  }
  return found
}

/** Not orthogonal to any vector that occurs in practice, and the same every time. */
function startVector(n: number): Float64Array {
  const v = Float64Array.from({ length: n }, (_, k) => 1 + ((k * 0.6180339887498949) % 1))
  const norm = Math.sqrt(dot(v, v))
  return v.map((x) => x / norm)
}

function times(n: number, g: ArrayLike<number>, v: Float64Array): Float64Array {
  const w = new Float64Array(n)
  for (let r = 0, k = 0; r < n; r++) {
    let sum = 0
    for (let c = 0; c < n; c++) sum += (g[k++] as number) * (v[c] as number)
    w[r] = sum
  }
  return w
}

function dot(a: Float64Array, b: Float64Array): number {
  let sum = 0
  for (let k = 0; k < a.length; k++) sum += (a[k] as number) * (b[k] as number)
  return sum
}

function subtract(from: Float64Array, what: Float64Array, factor: number): void {
  for (let k = 0; k < from.length; k++) from[k] = (from[k] as number) - factor * (what[k] as number)
}

/** By bisection: how many eigenvalues are above x is how many pivots of T - x are positive. */
function largestOfTridiagonal(diagonal: readonly number[], beside: readonly number[]): number {
  const radius = (k: number): number => Math.abs(beside[k - 1] ?? 0) + Math.abs(beside[k] ?? 0)
  let high = Math.max(...diagonal.map((d, k) => d + radius(k)))
  let low = Math.max(...diagonal)
  for (let step = 0; step < 200; step++) {
    const middle = low + (high - low) / 2
    if (middle <= low || middle >= high) break
    if (isBelowLargest(diagonal, beside, middle)) low = middle
    else high = middle
  }
  return high
}

function isBelowLargest(diagonal: readonly number[], beside: readonly number[], x: number): boolean {
  let pivot = 1
  for (const [k, d] of diagonal.entries()) {
    const b = beside[k - 1] ?? 0
    pivot = d - x - (k === 0 ? 0 : (b * b) / (pivot === 0 ? Number.MIN_VALUE : pivot))
    if (pivot > 0) return true
  }
  return false
}
