// Reads regions of stored matrices: blocks are kept for as long as there is room, and asked for before they are needed.
import type { Operand, Values } from '../native/blas/product.ts'
import { type Affine, type Region, crossings } from './affine.ts'
import type { Blocks } from './blocks.ts'
import type { Block, Stored } from './stored.ts'

/** Blocks by what they were read from, the least recently used out first. Shared by all executions of a process. */
export class BlockCache {
  readonly #bytes: number
  readonly #blocks = new Map<string, { block: Promise<Block>; bytes: number }>()
  #used = 0

  /** @param bytes the most that is kept */
  constructor(bytes: number) {
    this.#bytes = bytes
  }

  get(name: string, read: () => Promise<Block>): Promise<Block> {
    const known = this.#blocks.get(name)
    if (known !== undefined) {
      this.#blocks.delete(name)
      this.#blocks.set(name, known)
      return known.block
    }
    const entry = { block: read(), bytes: 0 }
    this.#blocks.set(name, entry)
    entry.block.then(
      ({ data }) => this.#arrived(name, entry, data.byteLength),
      () => this.#blocks.delete(name),
    )
    return entry.block
  }

  #arrived(name: string, entry: { bytes: number }, bytes: number): void {
    if (this.#blocks.get(name) !== entry) return
    entry.bytes = bytes
    this.#used += bytes
    for (const [old, { bytes: freed }] of this.#blocks) {
      if (this.#used <= this.#bytes) break
      // What is on its way is about to be needed.
      if (old === name || freed === 0) continue
      this.#blocks.delete(old)
      this.#used -= freed
    }
  }
}

export class Reader {
  readonly #blocks: Blocks
  readonly #cache: BlockCache
  readonly #matrices: readonly Stored[]
  readonly #failed: (source: number, error: unknown) => unknown
  /** Bytes of the blocks that were not in the cache. */
  fetched = 0

  /** @param failed what is thrown in place of an error that a block of a matrix could not be read for */
  constructor(
    blocks: Blocks,
    cache: BlockCache,
    matrices: readonly Stored[],
    failed: (source: number, error: unknown) => unknown = (_, error) => error,
  ) {
    this.#blocks = blocks
    this.#cache = cache
    this.#matrices = matrices
    this.#failed = failed
  }

  dtypeOf(source: number): 'd' | 'f' {
    return (this.#matrices[source] as Stored).dtype === 'f64' ? 'd' : 'f'
  }

  /** Rows and columns of a block of a matrix. */
  blockSizeOf(source: number): number {
    return (this.#matrices[source] as Stored).blockSize
  }

  #block(source: number, i: number, j: number): Promise<Block> {
    const stored = this.#matrices[source] as Stored
    return this.#cache.get(`${stored.id} ${stored.version} ${i} ${j}`, async () => {
      const block = await this.#blocks.read(stored, i, j)
      this.fetched += block.data.byteLength
      return block
    })
  }

  /** What a region sees of a matrix through a view. It must not be written to: it may be the block itself. */
  async region(source: number, map: Affine, region: Region): Promise<Operand> {
    const stored = this.#matrices[source] as Stored
    const { blockSize } = stored
    // What does not depend on the row is there once for all rows.
    const rows = map.rr === 0 && map.cr === 0 ? Math.min(1, region.rows) : region.rows
    const cols = map.rc === 0 && map.cc === 0 ? Math.min(1, region.cols) : region.cols
    const { row, col } = region
    const down = crossings(
      row,
      row + rows,
      [
        [map.rr, map.rc * col + map.r0],
        [map.cr, map.cc * col + map.c0],
      ],
      blockSize,
    )
    const across = crossings(
      col,
      col + cols,
      [
        [map.rc, map.rr * row + map.r0],
        [map.cc, map.cr * row + map.c0],
      ],
      blockSize,
    )
    const pieces: { at: readonly [number, number]; size: readonly [number, number]; operand: Promise<Operand> }[] = []
    for (let y = 0; y + 1 < down.length; y++) {
      for (let x = 0; x + 1 < across.length; x++) {
        const [r, c] = [down[y] as number, across[x] as number]
        pieces.push({
          at: [r - row, c - col],
          size: [(down[y + 1] as number) - r, (across[x + 1] as number) - c],
          operand: this.#piece(source, map, r, c),
        })
      }
    }
    const [first] = pieces
    if (first === undefined) return { data: emptyLike(stored, 0), offset: 0, row: 0, column: 0 }
    const repeated = { row: rows < region.rows ? 0 : undefined, column: cols < region.cols ? 0 : undefined }
    const operands = await Promise.all(pieces.map(({ operand }) => operand))
    if (pieces.length === 1) {
      const [only] = operands as [Operand]
      return { ...only, row: repeated.row ?? only.row, column: repeated.column ?? only.column }
    }
    const data = emptyLike(stored, rows * cols)
    pieces.forEach(({ at, size }, k) => copyInto(data, cols, at, size, operands[k] as Operand))
    return { data, offset: 0, row: repeated.row ?? cols, column: repeated.column ?? 1 }
  }

  /** From the element (r, c) of the view on, as far as one block goes. */
  async #piece(source: number, { rr, rc, r0, cr, cc, c0 }: Affine, r: number, c: number): Promise<Operand> {
    const size = this.blockSizeOf(source)
    const [row, col] = [rr * r + rc * c + r0, cr * r + cc * c + c0]
    const [i, j] = [Math.floor(row / size), Math.floor(col / size)]
    const { data, cols } = await this.#block(source, i, j).catch((error: unknown) => {
      throw this.#failed(source, error)
    })
    const offset = (row - i * size) * cols + (col - j * size)
    return { data, offset, row: rr * cols + cr, column: rc * cols + cc }
  }
}

function emptyLike({ dtype }: Stored, length: number): Values {
  return dtype === 'f64' ? new Float64Array(length) : new Float32Array(length)
}

function copyInto(
  to: Values,
  width: number,
  [row, col]: readonly [number, number],
  [rows, cols]: readonly [number, number],
  from: Operand,
): void {
  const { data } = from
  for (let r = 0; r < rows; r++) {
    const start = from.offset + r * from.row
    const at = (row + r) * width + col
    if (from.column === 1) to.set(data.subarray(start, start + cols), at)
    else for (let c = 0, i = start; c < cols; c++, i += from.column) to[at + c] = data[i] as number
  }
}
