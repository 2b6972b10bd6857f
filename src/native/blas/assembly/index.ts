// General matrix multiplication with 128-bit SIMD: C += alpha * A B, for doubles and for floats.
//
// The classic scheme: B is cut into panels of KC x NC and A into panels of MC x KC, which are packed so that the inner
// kernel reads both in order; the kernel keeps a tile of MR x NR of C in registers. Strides are in elements, so a
// transposed operand is one with its strides exchanged; packing takes them away. Packed edges are filled with zeros.

/** Rows of a tile. A tile has 2 vectors of columns: 8 of the 16 registers hold it. */
const MR: i32 = 4
const MC: i32 = 128
const KC: i32 = 256
const NC: i32 = 512

const edge = memory.data(4 * 2 * 16, 16)
let packedA: usize = 0
let packedB: usize = 0
let top: usize = 0

/** Bytes of memory that are there for operands, from the returned address on; grows where there is less. 0: no more memory. */
export function reserve(bytes: u32): usize {
  if (top == 0) {
    packedA = (__heap_base + 63) & ~63
    packedB = packedA + MC * KC * 8
    top = packedB + KC * NC * 8
  }
  const end: u64 = (top as u64) + (bytes as u64)
  const have: u64 = (memory.size() as u64) << 16
  if (end > have && memory.grow(((end - have + 0xffff) >> 16) as i32) < 0) return 0
  return top
}

export function gemm64(
  m: i32,
  n: i32,
  k: i32,
  alpha: f64,
  a: usize,
  aRow: i32,
  aColumn: i32,
  b: usize,
  bRow: i32,
  bColumn: i32,
  c: usize,
  cRow: i32,
): void {
  gemm<f64>(m, n, k, alpha, a, aRow, aColumn, b, bRow, bColumn, c, cRow)
}

export function gemm32(
  m: i32,
  n: i32,
  k: i32,
  alpha: f32,
  a: usize,
  aRow: i32,
  aColumn: i32,
  b: usize,
  bRow: i32,
  bColumn: i32,
  c: usize,
  cRow: i32,
): void {
  gemm<f32>(m, n, k, alpha, a, aRow, aColumn, b, bRow, bColumn, c, cRow)
}

@inline
function gemm<T>(
  m: i32,
  n: i32,
  k: i32,
  alpha: T,
  a: usize,
  aRow: i32,
  aColumn: i32,
  b: usize,
  bRow: i32,
  bColumn: i32,
  c: usize,
  cRow: i32,
): void {
  const size = sizeof<T>() as i32
  const NR: i32 = 32 / size
  for (let jc: i32 = 0; jc < n; jc += NC) {
    const columns = min(NC, n - jc)
    for (let pc: i32 = 0; pc < k; pc += KC) {
      const depth = min(KC, k - pc)
      packB<T>((b + (pc * bRow + jc * bColumn) * size) as usize, bRow, bColumn, depth, columns, NR)
      for (let ic: i32 = 0; ic < m; ic += MC) {
        const rows = min(MC, m - ic)
        packA<T>((a + (ic * aRow + pc * aColumn) * size) as usize, aRow, aColumn, rows, depth, alpha)
        for (let jr: i32 = 0; jr < columns; jr += NR) {
          const panelB = (packedB + jr * depth * size) as usize
          const wide = min(NR, columns - jr)
          for (let ir: i32 = 0; ir < rows; ir += MR) {
            const panelA = (packedA + ir * depth * size) as usize
            const high = min(MR, rows - ir)
            const tile = (c + ((ic + ir) * cRow + jc + jr) * size) as usize
            if (high == MR && wide == NR) {
              kernel<T>(depth, panelA, panelB, tile, (cRow * size) as usize)
            } else {
              memory.fill(edge, 0, 128)
              kernel<T>(depth, panelA, panelB, edge, 32)
              for (let r: i32 = 0; r < high; r++) {
                for (let s: i32 = 0; s < wide; s++) {
                  const at = (tile + (r * cRow + s) * size) as usize
                  store<T>(at, load<T>(at) + load<T>((edge + (r * 32 + s * size)) as usize))
                }
              }
            }
          }
        }
      }
    }
  }
}

/** Panels of MR rows: all of a column's MR values, then the next column's. */
@inline
function packA<T>(a: usize, row: i32, column: i32, rows: i32, depth: i32, alpha: T): void {
  const size = sizeof<T>() as i32
  let to = packedA
  for (let i: i32 = 0; i < rows; i += MR) {
    const high = min(MR, rows - i)
    let from = (a + i * row * size) as usize
    for (let p: i32 = 0; p < depth; p++) {
      for (let r: i32 = 0; r < MR; r++) {
        const value: T = r < high ? ((load<T>((from + r * row * size) as usize) * alpha) as T) : (0 as T)
        store<T>(to, value)
        to += size
      }
      from += (column * size) as usize
    }
  }
}

/** Panels of NR columns: all of a row's NR values, then the next row's. */
@inline
function packB<T>(b: usize, row: i32, column: i32, depth: i32, columns: i32, NR: i32): void {
  const size = sizeof<T>() as i32
  let to = packedB
  for (let j: i32 = 0; j < columns; j += NR) {
    const wide = min(NR, columns - j)
    let from = (b + j * column * size) as usize
    for (let p: i32 = 0; p < depth; p++) {
      if (wide == NR && column == 1) {
        v128.store(to, v128.load(from))
        v128.store(to, v128.load(from, 16), 16)
        to += 32
      } else {
        for (let s: i32 = 0; s < NR; s++) {
          store<T>(to, s < wide ? load<T>((from + s * column * size) as usize) : (0 as T))
          to += size
        }
      }
      from += (row * size) as usize
    }
  }
}

/** A tile of C, `stride` bytes from row to row, plus the product of two packed panels. */
@inline
function kernel<T>(depth: i32, a: usize, b: usize, c: usize, stride: usize): void {
  let c00 = v128.splat<T>(0 as T),
    c01 = c00,
    c10 = c00,
    c11 = c00,
    c20 = c00,
    c21 = c00,
    c30 = c00,
    c31 = c00
  for (let p: i32 = 0; p < depth; p++) {
    const b0 = v128.load(b),
      b1 = v128.load(b, 16)
    let x: v128
    x = splat<T>(a, 0)
    c00 = v128.add<T>(c00, v128.mul<T>(x, b0))
    c01 = v128.add<T>(c01, v128.mul<T>(x, b1))
    x = splat<T>(a, 1)
    c10 = v128.add<T>(c10, v128.mul<T>(x, b0))
    c11 = v128.add<T>(c11, v128.mul<T>(x, b1))
    x = splat<T>(a, 2)
    c20 = v128.add<T>(c20, v128.mul<T>(x, b0))
    c21 = v128.add<T>(c21, v128.mul<T>(x, b1))
    x = splat<T>(a, 3)
    c30 = v128.add<T>(c30, v128.mul<T>(x, b0))
    c31 = v128.add<T>(c31, v128.mul<T>(x, b1))
    a += 4 * sizeof<T>()
    b += 32
  }
  addTo<T>(c, c00, c01)
  c += stride
  addTo<T>(c, c10, c11)
  c += stride
  addTo<T>(c, c20, c21)
  c += stride
  addTo<T>(c, c30, c31)
}

@inline
function splat<T>(a: usize, index: usize): v128 {
  return sizeof<T>() == 8 ? v128.load64_splat(a + index * 8) : v128.load32_splat(a + index * 4)
}

@inline
function addTo<T>(c: usize, left: v128, right: v128): void {
  v128.store(c, v128.add<T>(v128.load(c), left))
  v128.store(c, v128.add<T>(v128.load(c, 16), right), 16)
}
