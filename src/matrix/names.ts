// Saved matrices: an index of names. What is on its way in or out of it is noted first, so that whoever dies in between
// leaves no blocks that nobody knows.
import { MatrixError } from '../errors.ts'
import { itemsOf, numberOf, pairsOf, textOf } from '../redis/replies.ts'
import type { Blocks } from './blocks.ts'
import type { FloatType } from './files/band.ts'
import { gridOf, totalBytes, type Stored } from './stored.ts'

/** A saved matrix, as `mill.matrix.list()` tells of it. */
export interface MatrixInfo {
  readonly name: string
  readonly rows: number
  readonly cols: number
  readonly dtype: FloatType
  readonly blockSize: number
  /** Names of the stores that hold its blocks; none: the deployment itself. */
  readonly stores: readonly string[]
  readonly blocks: number
  /** Of all elements. */
  readonly bytes: number
  /** When it was saved, in milliseconds since the epoch. */
  readonly saved: number
}

interface Description extends Omit<Stored, 'version'> {
  readonly saved: number
}

/** What is on its way for so long was left by somebody who died, in milliseconds. */
const abandonedMs = 60 * 60 * 1000

export class Names {
  readonly #blocks: Blocks
  readonly #index: string
  readonly #moving: string
  readonly #versions: string

  constructor(blocks: Blocks, namespace: string) {
    this.#blocks = blocks
    this.#index = `${namespace}:{gm0}:matrices`
    this.#moving = `${this.#index}:moving`
    this.#versions = `${this.#index}:versions`
  }

  get #deployment() {
    return this.#blocks.stores.deployment
  }

  /** Keeps the blocks for ever, under the name; the matrix that had it is removed. Throws `MATRIX_BLOCK_LOST`. */
  async save(name: string, stored: Stored): Promise<void> {
    const { id, rows: height, cols: width, dtype, blockSize, stores, version } = stored
    const saved = Date.now()
    const description: Description = { id, rows: height, cols: width, dtype, blockSize, stores, saved }
    const text = JSON.stringify(description)
    await this.#deployment.command(this.#moving, ['HSET', this.#moving, id, text])
    // Of cells that were set before: executors may have kept the blocks as they were.
    if (version > 0) await this.#deployment.command(this.#versions, ['HSET', this.#versions, id, version])
    const [rows, cols] = gridOf(stored)
    const kept = await this.#blocks.keep(stored, 0)
    if (kept < rows * cols) {
      await this.#removeBlocks(stored)
      throw new MatrixError(
        'MATRIX_BLOCK_LOST',
        `${rows * cols - kept} of ${rows * cols} blocks of '${name}' are not there`,
      )
    }
    const before = textOf(await this.#deployment.call('matrix_save', [this.#index, this.#moving], [name, id, text]))
    await this.#removeBlocksOf(descriptionOf(before))
  }

  /** Throws `MATRIX_UNKNOWN`. */
  async find(name: string): Promise<Stored> {
    const [text, versions] = [await this.#deployment.command(this.#index, ['HGET', this.#index, name]), this.#versions]
    if (typeof text !== 'string') throw unknown(name)
    const stored = storedOf(this.#described(name, text))
    return { ...stored, version: numberOf(await this.#deployment.command(versions, ['HGET', versions, stored.id])) }
  }

  /** Whether the name is that of the matrix with this id. */
  async isOf(name: string, id: string): Promise<boolean> {
    const text = await this.#deployment.command(this.#index, ['HGET', this.#index, name])
    return typeof text === 'string' && descriptionOf(text)?.id === id
  }

  /**
   * Removes name and blocks: of the matrix with this id, or of whichever has the name. Returns whether there was one. Throws
   * `MATRIX_STORE`.
   */
  async remove(name: string, id = ''): Promise<boolean> {
    const text = await this.#deployment.command(this.#index, ['HGET', this.#index, name])
    // Who does not reach the blocks must not take the name off them.
    this.#blocks.stores.check((typeof text === 'string' && descriptionOf(text)?.stores) || [])
    const found = textOf(await this.#deployment.call('matrix_forget', [this.#index, this.#moving], [name, id]))
    if (found === '') return false
    await this.#removeBlocksOf(descriptionOf(found))
    return true
  }

  /** A cell was set: what others have cached is of the past. Returns the new version. */
  async changed(id: string): Promise<number> {
    return numberOf(await this.#deployment.command(this.#versions, ['HINCRBY', this.#versions, id, 1]))
  }

  /** By name. Throws `MATRIX_BLOCK_DAMAGED`. */
  async list(): Promise<MatrixInfo[]> {
    await this.#sweep()
    const found: MatrixInfo[] = []
    for (const [name, text] of await this.#hash(this.#index)) {
      const { rows, cols, dtype, blockSize, stores, saved } = this.#described(name, text)
      const [down, across] = gridOf({ rows, cols, blockSize })
      const bytes = totalBytes({ rows, cols, dtype })
      found.push({ name, rows, cols, dtype, blockSize, stores, blocks: down * across, bytes, saved })
    }
    return found.sort((a, b) => (a.name < b.name ? -1 : 1))
  }

  /** Removes what somebody left on its way. */
  async #sweep(): Promise<void> {
    for (const [, text] of await this.#hash(this.#moving)) {
      const description = descriptionOf(text)
      if (description !== undefined && Date.now() - description.saved > abandonedMs) {
        // Others reach stores that we do not.
        await this.#removeBlocksOf(description).catch(() => undefined)
      }
    }
  }

  #described(name: string, text: string): Description {
    const description = descriptionOf(text)
    if (description !== undefined) return description
    throw new MatrixError('MATRIX_BLOCK_DAMAGED', `what ${this.#index} says of '${name}' is not what was saved`)
  }

  async #removeBlocksOf(description: Description | undefined): Promise<void> {
    if (description !== undefined) await this.#removeBlocks(storedOf(description))
  }

  async #removeBlocks(stored: Stored): Promise<void> {
    await this.#blocks.remove(stored)
    await this.#deployment.command(this.#versions, ['HDEL', this.#versions, stored.id])
    await this.#deployment.command(this.#moving, ['HDEL', this.#moving, stored.id])
  }

  async #hash(key: string): Promise<Map<string, string>> {
    const found = new Map<string, string>()
    let cursor = '0'
    do {
      const reply = itemsOf(await this.#deployment.command(key, ['HSCAN', key, cursor, 'COUNT', 500]))
      cursor = textOf(reply[0])
      for (const [name, value] of pairsOf(reply[1])) found.set(textOf(name), textOf(value))
    } while (cursor !== '0')
    return found
  }
}

/** MATRIX_UNKNOWN */
export function unknown(name: string): MatrixError {
  return new MatrixError('MATRIX_UNKNOWN', `no matrix is saved as '${name}'`)
}

/** Undefined where it is none. */
function descriptionOf(text: string): Description | undefined {
  try {
    const found = JSON.parse(text) as Partial<Description> | null
    const { id, rows, cols, blockSize, dtype, stores, saved } = found ?? {}
    const isWhole = [rows, cols, blockSize, saved].every((value) => Number.isSafeInteger(value))
    const isType = dtype === 'f64' || dtype === 'f32'
    return typeof id === 'string' && isWhole && isType && Array.isArray(stores) ? (found as Description) : undefined
  } catch {
    return undefined
  }
}

function storedOf({ id, rows, cols, dtype, blockSize, stores }: Description): Stored {
  return { id, rows, cols, dtype, blockSize, stores, version: 0 }
}
