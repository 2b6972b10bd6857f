// Blocks as values in Redis, in NPY format: `numpy.load` reads them. Written once and never changed, but for single cells.
import { decodeNpy, npyHeader } from '../codec/npy.ts'
import { GearmillError, MatrixError } from '../errors.ts'
import type { Argument } from '../redis/deployment.ts'
import { ReplyError } from '../redis/failures.ts'
import { numberOf } from '../redis/replies.ts'
import type { FloatType, Floats } from './files/band.ts'
import { blocksOf, bytesOf, placeOf, sizeOf, type Block, type Stored } from './stored.ts'
import type { Stores } from './stores.ts'

/** Keys in one turn of what goes over all blocks of a matrix. */
const atOnce = 500

const headers = new Map<string, Buffer>()

function headerOf(dtype: FloatType, rows: number, cols: number): Buffer {
  const name = `${dtype} ${rows} ${cols}`
  let header = headers.get(name)
  if (header === undefined) {
    header = Buffer.from(npyHeader(dtype === 'f64' ? 'f8' : 'f4', [rows, cols]))
    if (headers.size > 1000) headers.clear()
    headers.set(name, header)
  }
  return header
}

/** A block to be filled, and the bytes that it will be stored as: `data` is a part of them. */
export interface NewBlock extends Block {
  readonly bytes: Uint8Array
}

export function newBlock(dtype: FloatType, rows: number, cols: number): NewBlock {
  const header = headerOf(dtype, rows, cols)
  const bytes = new Uint8Array(header.length + rows * cols * bytesOf(dtype))
  bytes.set(header)
  return { rows, cols, bytes, data: floatsOf(dtype, bytes, header.length) }
}

function floatsOf(dtype: FloatType, bytes: Uint8Array, offset: number): Floats {
  const aligned = (bytes.byteOffset + offset) % bytesOf(dtype) === 0
  const [buffer, at] = aligned ? [bytes.buffer, bytes.byteOffset + offset] : [new Uint8Array(bytes).buffer, offset]
  const length = (bytes.length - offset) / bytesOf(dtype)
  return dtype === 'f64' ? new Float64Array(buffer, at, length) : new Float32Array(buffer, at, length)
}

export class Blocks {
  readonly stores: Stores

  constructor(stores: Stores) {
    this.stores = stores
  }

  /** Throws `MATRIX_BLOCK_LOST`, `MATRIX_BLOCK_DAMAGED`. */
  async read(stored: Stored, i: number, j: number): Promise<Block> {
    const { store, key } = placeOf(this.stores.namespace, stored, i, j)
    const deployment = await this.stores.of(stored.stores, store)
    const reply = await ofBlock(key, deployment.command(key, ['GET', key], { binary: true }))
    if (!Buffer.isBuffer(reply)) throw lost(key)
    return decoded(reply, stored, i, j, key)
  }

  /**
   * Writes a block that nobody wrote yet; what is there already stays, as it is the same. That keeps a late second attempt
   * from giving an end to a block that was meanwhile saved for ever.
   *
   * @param ttlMs how long it lives, in milliseconds, unless somebody renews it
   */
  async write(stored: Stored, i: number, j: number, { bytes }: NewBlock, ttlMs: number): Promise<void> {
    const { store, key } = placeOf(this.stores.namespace, stored, i, j)
    const deployment = await this.stores.of(stored.stores, store)
    await deployment.command(key, ['SET', key, bytes, 'PX', ttlMs, 'NX'])
  }

  /** One cell; a few bytes travel. Throws as `read`. */
  async readCell(stored: Stored, row: number, col: number): Promise<number> {
    const { i, j, offset, size } = cellOf(stored, row, col)
    const { store, key } = placeOf(this.stores.namespace, stored, i, j)
    const deployment = await this.stores.of(stored.stores, store)
    const args = ['GETRANGE', key, offset, offset + size - 1]
    const reply = await ofBlock(key, deployment.command(key, args, { binary: true }))
    if (!Buffer.isBuffer(reply) || reply.length !== size) {
      throw numberOf(await deployment.command(key, ['EXISTS', key])) === 0
        ? lost(key)
        : damaged(key, 'it ends too early')
    }
    return size === 8 ? reply.readDoubleLE(0) : reply.readFloatLE(0)
  }

  /** Changes one cell where it lies. Throws `MATRIX_BLOCK_LOST`, `MATRIX_BLOCK_DAMAGED`. */
  async writeCell(stored: Stored, row: number, col: number, value: number): Promise<void> {
    const { i, j, offset, size, total } = cellOf(stored, row, col)
    const { store, key } = placeOf(this.stores.namespace, stored, i, j)
    const deployment = await this.stores.of(stored.stores, store)
    const bytes = Buffer.alloc(size)
    if (size === 8) bytes.writeDoubleLE(value)
    else bytes.writeFloatLE(value)
    const length = numberOf(await ofBlock(key, deployment.call('matrix_cell', [key], [total, offset, bytes])))
    if (length === 0) throw lost(key)
    if (length !== total) throw damaged(key, `expected ${total} bytes, got ${length}`)
  }

  /** Lets all blocks live for so long from now; 0: for ever. Returns how many there are. */
  async keep(stored: Stored, ttlMs: number): Promise<number> {
    const command = (key: string): readonly Argument[] => (ttlMs > 0 ? ['PEXPIRE', key, ttlMs] : ['PERSIST', key])
    if (ttlMs > 0) return this.#each(stored, async (key, run) => ((await run(command(key))) === 1 ? 1 : 0))
    return this.#each(stored, async (key, run) => {
      const [, there] = await Promise.all([run(command(key)), run(['EXISTS', key])])
      return there === 1 ? 1 : 0
    })
  }

  async remove(stored: Stored): Promise<void> {
    await this.#each(stored, async (key, run) => ((await run(['UNLINK', key])) === 1 ? 1 : 0))
  }

  async #each(
    stored: Stored,
    visit: (key: string, run: (args: readonly Argument[]) => Promise<unknown>) => Promise<number>,
  ): Promise<number> {
    let sum = 0
    let some: Promise<number>[] = []
    const settle = async (): Promise<void> => {
      for (const count of await Promise.all(some)) sum += count
      some = []
    }
    for (const [i, j] of blocksOf(stored)) {
      const { store, key } = placeOf(this.stores.namespace, stored, i, j)
      const deployment = await this.stores.of(stored.stores, store)
      some.push(visit(key, (args) => deployment.command(key, args)))
      if (some.length >= atOnce) await settle()
    }
    await settle()
    return sum
  }
}

function cellOf(
  stored: Stored,
  row: number,
  col: number,
): { i: number; j: number; offset: number; size: number; total: number } {
  const { blockSize, dtype } = stored
  const [i, j] = [Math.floor(row / blockSize), Math.floor(col / blockSize)]
  const [rows, cols] = sizeOf(stored, i, j)
  const head = headerOf(dtype, rows, cols).length
  const size = bytesOf(dtype)
  const index = (row - i * blockSize) * cols + (col - j * blockSize)
  return { i, j, offset: head + index * size, size, total: head + rows * cols * size }
}

function decoded(bytes: Buffer, stored: Stored, i: number, j: number, key: string): Block {
  const { dtype } = stored
  const [rows, cols] = sizeOf(stored, i, j)
  const header = headerOf(dtype, rows, cols)
  if (bytes.length === header.length + rows * cols * bytesOf(dtype) && header.compare(bytes, 0, header.length) === 0) {
    return { rows, cols, data: floatsOf(dtype, bytes, header.length) }
  }
  // Somebody else may have written it: another header of the same array is fine.
  try {
    const { type, shape, data } = decodeNpy(bytes)
    const fits = shape.length === 2 && shape[0] === rows && shape[1] === cols
    if (
      fits &&
      (data instanceof Float64Array || data instanceof Float32Array) &&
      data.BYTES_PER_ELEMENT === bytesOf(dtype)
    ) {
      return { rows, cols, data }
    }
    throw damaged(key, `expected ${dtype} of shape (${rows}, ${cols}), got ${type} of shape (${shape.join(', ')})`)
  } catch (cause) {
    if (!(cause instanceof GearmillError) || cause.code !== 'MATRIX_FORMAT') throw cause
    throw damaged(key, cause.message, cause)
  }
}

/** What comes of a command on a block. Throws MATRIX_BLOCK_DAMAGED where its key holds a list, say. */
async function ofBlock<T>(key: string, reply: Promise<T>): Promise<T> {
  try {
    return await reply
  } catch (error) {
    if (!(error instanceof ReplyError) || error.prefix !== 'WRONGTYPE') throw error
    throw damaged(key, 'its key holds another type of value', error)
  }
}

function lost(key: string): MatrixError {
  return new MatrixError('MATRIX_BLOCK_LOST', `the block ${key} is not in its store`)
}

function damaged(key: string, reason: string, cause?: unknown): MatrixError {
  return new MatrixError('MATRIX_BLOCK_DAMAGED', `the block ${key}: ${reason}`, cause === undefined ? {} : { cause })
}
