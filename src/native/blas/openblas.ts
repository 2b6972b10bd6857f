// OpenBLAS through the foreign function interface.
//
// One thread a process: executors are as many as there are cores, and threads of two libraries on one core wait for each
// other. Kernels: releases before 0.3.22 know no AMD processor with AVX-512 and take it for one without, at half its speed;
// what the variable names is in every build that chooses at run time. Both variables are read when the library is loaded.
import { readFileSync } from 'node:fs'
import { foreign } from '../koffi.ts'
import { compact, type Blas, type Operand, type Product } from './product.ts'

type Gemm = (
  order: number,
  transA: number,
  transB: number,
  m: number,
  n: number,
  k: number,
  alpha: number,
  a: ArrayBufferView,
  lda: number,
  b: ArrayBufferView,
  ldb: number,
  beta: number,
  c: ArrayBufferView,
  ldc: number,
) => void

interface AsyncGemm extends Gemm {
  async(...args: [...Parameters<Gemm>, (error: Error | null) => void]): void
}

export interface OpenBlasLibrary {
  readonly config: string
  readonly core: string
  readonly dgemm: AsyncGemm
  readonly sgemm: AsyncGemm
}

const rowMajor = 101
const plain = 111
const transposed = 112

/** Below so many multiplications a thread of its own costs more than it gives. */
const worthAThread = 4_000_000

const names: Readonly<Partial<Record<NodeJS.Platform, readonly string[]>>> = {
  linux: ['libopenblas.so.0', 'libopenblas.so'],
  darwin: [
    '/opt/homebrew/opt/openblas/lib/libopenblas.dylib',
    '/usr/local/opt/openblas/lib/libopenblas.dylib',
    'libopenblas.dylib',
  ],
  win32: ['libopenblas.dll', 'openblas.dll'],
}

/** The library of that path, or the first of the usual names that can be loaded. */
export function findOpenBlas(path?: string): OpenBlasLibrary | undefined {
  process.env.OPENBLAS_NUM_THREADS ??= '1'
  const kernels = missedKernels(processorText())
  if (kernels !== undefined) process.env.OPENBLAS_CORETYPE ??= kernels
  for (const name of path === undefined ? (names[process.platform] ?? []) : [path]) {
    try {
      return load(name)
    } catch {
      // Not there, or without what is needed: the next one.
    }
  }
  return undefined
}

function load(name: string): OpenBlasLibrary {
  const library = foreign().load(name)
  const matrices = (real: string): string =>
    `int order, int ta, int tb, int m, int n, int k, ${real} alpha, ${real} *a, int lda, ${real} *b, int ldb, ${real} beta, ${real} *c, int ldc`
  const text = (call: string): string => (library.func(`const char *${call}()`) as () => string)()
  const found: OpenBlasLibrary = {
    config: text('openblas_get_config'),
    core: text('openblas_get_corename'),
    dgemm: library.func(`void cblas_dgemm(${matrices('double')})`),
    sgemm: library.func(`void cblas_sgemm(${matrices('float')})`),
  }
  const setThreads = library.func('void openblas_set_num_threads(int threads)') as (threads: number) => void
  setThreads(1)
  return found
}

function processorText(): string {
  try {
    return readFileSync('/proc/cpuinfo', 'utf8')
  } catch {
    return ''
  }
}

/** The kernels to ask for where the library would not choose them itself; `cpuinfo` as Linux writes it. */
export function missedKernels(cpuinfo: string): string | undefined {
  const flags = new Set((/^flags\s*:(.*)$/m.exec(cpuinfo)?.[1] ?? '').trim().split(/\s+/))
  const isAmd = /^vendor_id\s*:\s*AuthenticAMD/m.test(cpuinfo)
  const hasAvx512 = ['avx512f', 'avx512cd', 'avx512bw', 'avx512dq', 'avx512vl'].every((flag) => flags.has(flag))
  return isAmd && hasAvx512 ? 'SkylakeX' : undefined
}

export function openBlas(library: OpenBlasLibrary): Blas {
  const version = /OpenBLAS ([\d.]+)/.exec(library.config)?.[1] ?? ''
  return {
    kind: 'openblas',
    description: `OpenBLAS ${version}, ${library.core} kernels, 1 thread an executor`,
    gemm({ m, n, k, alpha, a, b, c }: Product) {
      if (m === 0 || n === 0 || k === 0) return
      const { data } = c
      const gemm = data instanceof Float64Array ? library.dgemm : library.sgemm
      const left = placed(a, m, k)
      const right = placed(b, k, n)
      const args = [
        ...[rowMajor, left.mode, right.mode, m, n, k, alpha],
        ...[left.data, left.stride, right.data, right.stride, 1, data.subarray(c.offset), Math.max(c.row, n)],
      ] as unknown as Parameters<Gemm>
      if (m * n * k < worthAThread) return gemm(...args)
      return new Promise<void>((resolve, reject) => {
        gemm.async(...args, (error) => (error ? reject(error) : resolve()))
      })
    },
  }
}

/** An operand as the library takes it: one of its strides is 1. */
function placed(
  operand: Operand,
  rows: number,
  columns: number,
): { mode: number; data: ArrayBufferView; stride: number } {
  const { data, offset, row, column } = operand
  if ((column === 1 || columns === 1) && (row >= columns || rows === 1)) {
    return { mode: plain, data: data.subarray(offset), stride: Math.max(row, columns) }
  }
  if ((row === 1 || rows === 1) && (column >= rows || columns === 1)) {
    return { mode: transposed, data: data.subarray(offset), stride: Math.max(column, rows) }
  }
  return placed(compact(operand, rows, columns), rows, columns)
}
