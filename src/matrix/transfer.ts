// Matrices between this process and their stores: a bounded number of blocks is on its way at a time.
import type { Operand } from '../native/blas/product.ts'
import { type Affine, compose, diagonal, identity, shift, transposition } from './affine.ts'
import { newBlock, type Blocks } from './blocks.ts'
import { type Band, type Floats, floats } from './files/band.ts'
import type { Node } from './node.ts'
import { BlockCache, Reader } from './reader.ts'
import { bytesOf, gridOf, sizeOf, type Stored } from './stored.ts'

/** On their way at a time, about, in bytes. */
const inFlight = 32 * 1024 * 1024

/** The stored matrix that a node is, or is a view of. */
export interface View {
  readonly stored: Stored
  readonly map: Affine
  readonly rows: number
  readonly cols: number
}

/** The node as a view of something stored; undefined where it has to be computed. */
export function viewOfStored(node: Node): View | undefined {
  const { rows, cols } = node
  let map = identity
  for (let below = node; ;) {
    if (below.stored !== undefined) return { stored: below.stored, map, rows, cols }
    const { operation } = below
    if (operation.kind === 'transpose') map = compose(transposition, map)
    else if (operation.kind === 'slice') map = compose(shift(operation.row, operation.col), map)
    else if (operation.kind === 'diagonal') map = compose(diagonal, map)
    else return undefined
    below = operation.input
  }
}

const parallel = ({ blockSize, dtype }: Stored): number =>
  Math.max(2, Math.min(64, Math.floor(inFlight / (blockSize ** 2 * bytesOf(dtype)))))

/** Runs the jobs in their order, so many at a time. Where one fails no other begins, and none runs any more when this is over. */
async function inTurn(jobs: Iterable<() => Promise<void>>, atOnce: number): Promise<void> {
  const queue = jobs[Symbol.iterator]()
  let isOver = false
  const work = async (): Promise<void> => {
    try {
      for (let next = queue.next(); next.done !== true && !isOver; next = queue.next()) await next.value()
    } catch (error) {
      isOver = true
      throw error
    }
  }
  const ended = await Promise.allSettled(Array.from({ length: atOnce }, work))
  for (const one of ended) if (one.status === 'rejected') throw one.reason
}

/** All elements in C order. Throws `MATRIX_BLOCK_*`. */
export async function readAll(blocks: Blocks, { stored, map, rows, cols }: View): Promise<Floats> {
  const data = floats(stored.dtype, rows * cols)
  const reader = new Reader(blocks, new BlockCache(inFlight), [stored])
  const size = stored.blockSize
  function* jobs(): Generator<() => Promise<void>> {
    for (let row = 0; row < rows; row += size) {
      for (let col = 0; col < cols; col += size) {
        const region = { row, col, rows: Math.min(size, rows - row), cols: Math.min(size, cols - col) }
        yield async () =>
          copy(await reader.region(0, map, region), region.rows, region.cols, data, row * cols + col, cols)
      }
    }
  }
  await inTurn(jobs(), parallel(stored))
  return data
}

function copy(from: Operand, rows: number, cols: number, to: Floats, offset: number, width: number): void {
  for (let r = 0; r < rows; r++) {
    const start = from.offset + r * from.row
    const at = offset + r * width
    if (from.column === 1) to.set(from.data.subarray(start, start + cols), at)
    else for (let c = 0, i = start; c < cols; c++, i += from.column) to[at + c] = from.data[i] as number
  }
}

/** The rows in bands of one block's height. Throws `MATRIX_BLOCK_*`. */
export async function* readBands(blocks: Blocks, stored: Stored): AsyncGenerator<Band> {
  const { rows, cols, blockSize } = stored
  for (let row = 0; row < rows; row += blockSize) {
    const height = Math.min(blockSize, rows - row)
    const data = await readAll(blocks, { stored, map: shift(row, 0), rows: height, cols })
    yield { row, rows: height, cols, data }
  }
}

/** Writes bands of any height, in their order, as blocks. Throws what `signal` is aborted with. */
export async function writeBands(
  blocks: Blocks,
  stored: Stored,
  bands: AsyncIterable<Band>,
  ttlMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { cols, blockSize, rows } = stored
  let held = floats(stored.dtype, 0)
  let first = 0
  const flush = async (height: number): Promise<void> => {
    await writeRows(blocks, stored, first, held.subarray(0, height * cols), ttlMs, signal)
    held = held.slice(height * cols)
    first += height
  }
  for await (const { data } of bands) {
    const joined = floats(stored.dtype, held.length + data.length)
    joined.set(held)
    joined.set(data, held.length)
    held = joined
    while (cols > 0 && held.length >= blockSize * cols) await flush(blockSize)
  }
  if (first < rows) await flush(rows - first)
}

/** Writes the blocks of rows that begin where blocks do. Throws what `signal` is aborted with. */
export async function writeRows(
  blocks: Blocks,
  stored: Stored,
  row: number,
  data: Floats,
  ttlMs: number,
  signal: AbortSignal,
): Promise<void> {
  const { cols, blockSize } = stored
  const across = gridOf(stored)[1]
  const height = cols === 0 ? 0 : data.length / cols
  function* jobs(): Generator<() => Promise<void>> {
    for (let r = 0; r < height; r += blockSize) {
      const i = (row + r) / blockSize
      for (let j = 0; j < across; j++) {
        yield async () => {
          signal.throwIfAborted()
          const [high, wide] = sizeOf(stored, i, j)
          const block = newBlock(stored.dtype, high, wide)
          for (let y = 0; y < high; y++) {
            const start = (r + y) * cols + j * blockSize
            block.data.set(data.subarray(start, start + wide), y * wide)
          }
          await blocks.write(stored, i, j, block, ttlMs)
        }
      }
    }
  }
  await inTurn(jobs(), parallel(stored))
}
