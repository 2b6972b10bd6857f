// A matrix that exists as blocks in Redis: what must be known to find and read them.
import { hashText } from '../codec/hash.ts'
import type { FloatType, Floats } from './files/band.ts'

export interface Stored {
  readonly id: string
  readonly rows: number
  readonly cols: number
  readonly dtype: FloatType
  /** Rows and columns of a block; those at the right and lower edge are smaller. */
  readonly blockSize: number
  /** Names of the stores that hold the blocks; none: the deployment itself. */
  readonly stores: readonly string[]
  /** Grows when a cell is set: caches must tell one state from the next. */
  readonly version: number
}

export const bytesOf = (dtype: FloatType): number => (dtype === 'f64' ? 8 : 4)

/** Rows and columns of the grid of blocks. */
export function gridOf({
  rows,
  cols,
  blockSize,
}: Pick<Stored, 'rows' | 'cols' | 'blockSize'>): readonly [number, number] {
  return [Math.ceil(rows / blockSize), Math.ceil(cols / blockSize)]
}

/** Rows and columns of block (i, j). */
export function sizeOf({ rows, cols, blockSize }: Stored, i: number, j: number): readonly [number, number] {
  return [Math.min(blockSize, rows - i * blockSize), Math.min(blockSize, cols - j * blockSize)]
}

/** Bytes of all its elements. */
export function totalBytes({ rows, cols, dtype }: Pick<Stored, 'rows' | 'cols' | 'dtype'>): number {
  return rows * cols * bytesOf(dtype)
}

/** Where block (i, j) lies: the index of its store, and its key there. The hash tag spreads blocks over the shards. */
export function placeOf(namespace: string, stored: Stored, i: number, j: number): { store: number; key: string } {
  const { id, stores } = stored
  const tag = ((hashText(id) + i * gridOf(stored)[1] + j) & 0xffff).toString(36)
  return { store: stores.length === 0 ? 0 : (i + j) % stores.length, key: `${namespace}:{m${tag}}:mx:${id}:${i}.${j}` }
}

export function* blocksOf(stored: Stored): Generator<readonly [i: number, j: number]> {
  const [rows, cols] = gridOf(stored)
  for (let i = 0; i < rows; i++) for (let j = 0; j < cols; j++) yield [i, j]
}

/** A block's elements in C order. */
export interface Block {
  readonly rows: number
  readonly cols: number
  readonly data: Floats
}
