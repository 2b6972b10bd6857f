// Matrix multiplication in WebAssembly SIMD, for machines without a BLAS. Operands are copied into the module's memory, at
// a cost that is one part in hundreds of the product's.
import { readFileSync } from 'node:fs'
import { setImmediate } from 'node:timers/promises'
import { GearmillError } from '../../errors.ts'
import { compact, type Blas, type Operand, type Product, type Values } from './product.ts'

/** The part of the global that is used here (its types come with those of browsers only). */
declare const WebAssembly: {
  readonly Module: new (bytes: Uint8Array) => object
  readonly Instance: new (module: object) => { readonly exports: unknown }
}

type Gemm = (
  ...of: readonly [
    ...[m: number, n: number, k: number, alpha: number],
    ...[a: number, aRow: number, aColumn: number],
    ...[b: number, bRow: number, bColumn: number],
    ...[c: number, cRow: number],
  ]
) => void

/** What assembly/index.ts exports. */
interface Kernels {
  readonly memory: { readonly buffer: ArrayBuffer }
  reserve(bytes: number): number
  readonly gemm64: Gemm
  readonly gemm32: Gemm
}

/** Rows, columns and depth of what is multiplied at a time: bounds the memory that is needed. */
const most = 1024

let kernels: Kernels | undefined

function instantiate(): Kernels {
  const bytes = readFileSync(new URL('./blas.wasm', import.meta.url))
  return new WebAssembly.Instance(new WebAssembly.Module(bytes)).exports as Kernels
}

export function wasmBlas(): Blas {
  return {
    kind: 'wasm',
    description: 'WebAssembly SIMD; OpenBLAS (apt-get install libopenblas0) is about 2.5 times as fast',
    gemm,
  }
}

/** After so many multiplications others get their turn: replies arrive meanwhile. */
const longWork = 4_000_000

function gemm({ m, n, k, alpha, a, b, c }: Product): void | Promise<void> {
  for (let i = 0; i < m; i += most) {
    for (let j = 0; j < n; j += most) {
      for (let p = 0; p < k; p += most) {
        multiply({
          m: Math.min(most, m - i),
          n: Math.min(most, n - j),
          k: Math.min(most, k - p),
          alpha,
          a: { ...a, offset: a.offset + i * a.row + p * a.column },
          b: { ...b, offset: b.offset + p * b.row + j * b.column },
          c: { ...c, offset: c.offset + i * c.row + j },
        })
      }
    }
  }
  return m * n * k < longWork ? undefined : setImmediate()
}

function multiply({ m, n, k, alpha, a, b, c }: Product): void {
  kernels ??= instantiate()
  const { BYTES_PER_ELEMENT: size } = c.data
  const left = dense(a, m, k)
  const right = dense(b, k, n)
  const lengths = [spanOf(left, m, k), spanOf(right, k, n), m * n] as const
  // A kernel that writes vectors may start anywhere; each operand starts at a multiple of its vector all the same.
  const [atB, atC, end] = [lengths[0], lengths[0] + lengths[1], lengths[0] + lengths[1] + lengths[2]].map(
    (elements, i) => elements * size + 16 * (i + 1),
  ) as [number, number, number]
  const base = kernels.reserve(end) >>> 0
  if (base === 0) throw new GearmillError('EXECUTION_MEMORY', `no memory for a product of ${m} x ${k} and ${k} x ${n}`)
  const places = [base, align(base + atB - 16), align(base + atC - 16)] as const
  const view = viewOf(kernels.memory.buffer, c.data)
  view.set(left.data.subarray(left.offset, left.offset + lengths[0]), places[0] / size)
  view.set(right.data.subarray(right.offset, right.offset + lengths[1]), places[1] / size)
  for (let r = 0; r < m; r++) {
    const from = c.offset + r * c.row
    view.set(c.data.subarray(from, from + n), places[2] / size + r * n)
  }
  const run = size === 8 ? kernels.gemm64 : kernels.gemm32
  run(m, n, k, alpha, places[0], left.row, left.column, places[1], right.row, right.column, places[2], n)
  for (let r = 0; r < m; r++) {
    const from = places[2] / size + r * n
    c.data.set(view.subarray(from, from + n), c.offset + r * c.row)
  }
}

const align = (address: number): number => (address + 15) & ~15

/** From the first element to the last one, in elements. */
function spanOf({ row, column }: Operand, rows: number, columns: number): number {
  return rows === 0 || columns === 0 ? 0 : (rows - 1) * row + (columns - 1) * column + 1
}

/** The operand, or a copy of it where it lies so far apart that its gaps are not worth the copying. */
function dense(operand: Operand, rows: number, columns: number): Operand {
  return spanOf(operand, rows, columns) > 2 * rows * columns ? compact(operand, rows, columns) : operand
}

function viewOf(buffer: ArrayBuffer, like: Values): Values {
  return like instanceof Float64Array ? new Float64Array(buffer) : new Float32Array(buffer)
}
