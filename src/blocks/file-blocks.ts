// Blocks in a directory that the workers share: a folder an owner, a file a block.
import { randomBytes } from 'node:crypto'
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { codeOf, fileError } from './file-errors.ts'
import { FrameReader, FrameWriter } from './framing.ts'
import { safeName } from './names.ts'
import { BlockMissingError, type BlockStore, type BlockWriter } from './store.ts'

// What a block file starts with; the digit is the version of the format.
const magic = Buffer.from('GMBLOCK1', 'latin1')
const writeBytes = 256 * 1024
const readBytes = 1024 * 1024

/**
 * Blocks as files in `dir`, which is made when it is first written to. A block is written under a temporary name and
 * renamed when it is closed, so that a reader sees all of it or nothing; checksums tell a damaged one.
 * Throws PlanError PLAN_FILE where rights are missing, and EXECUTION_BLOCK_SPACE where the disk is full.
 */
export class FileBlocks implements BlockStore {
  readonly dir: string

  constructor(dir: string) {
    this.dir = dir
  }

  writer(owner: string, name: string): BlockWriter {
    return new FileBlockWriter(owner, name, this.#path(owner, name))
  }

  /** Frames are views on what was read, up to 1 MiB at a time: copy what is to be kept for long. */
  async *read(owner: string, name: string): AsyncGenerator<Uint8Array> {
    const path = this.#path(owner, name)
    let file: FileHandle
    try {
      file = await open(path, 'r')
    } catch (error) {
      if (codeOf(error) === 'ENOENT')
        throw new BlockMissingError(owner, name, 'there is no such file', { cause: error })
      throw fileError(error, 'read', path)
    }
    try {
      const { size } = await file.stat()
      const start = await readChunk(file, 0, Math.min(magic.length, size))
      if (!start.equals(magic)) throw new BlockMissingError(owner, name, 'the file does not start as a block does')
      const frames = new FrameReader(owner, name, size - magic.length)
      for (let position = magic.length; position < size;) {
        // A chunk of its own for each turn: the frames that were given out are views on it.
        const chunk = await readChunk(file, position, Math.min(readBytes, size - position))
        if (chunk.length === 0) break
        position += chunk.length
        yield* frames.push(chunk)
      }
      frames.end()
    } catch (error) {
      throw fileError(error, 'read', path)
    } finally {
      await file.close()
    }
  }

  async delete(owner: string, name: string): Promise<void> {
    await removeAll(this.#path(owner, name))
  }

  async remove(owner: string): Promise<void> {
    await removeAll(join(this.dir, safeName(owner)))
  }

  async close(): Promise<void> {}

  #path(owner: string, name: string): string {
    return join(this.dir, safeName(owner), `${safeName(name)}.block`)
  }
}

class FileBlockWriter implements BlockWriter {
  readonly #owner: string
  readonly #name: string
  readonly #path: string
  readonly #temporary: string
  readonly #frames = new FrameWriter(writeBytes, (chunk) => this.#write(chunk), magic)
  #file: FileHandle | undefined
  #isMade = false

  constructor(owner: string, name: string, path: string) {
    this.#owner = owner
    this.#name = name
    this.#path = path
    this.#temporary = `${path}.${process.pid}-${randomBytes(6).toString('hex')}.tmp`
  }

  async append(frame: Uint8Array): Promise<void> {
    await this.#orDiscard(() => this.#frames.append(frame))
  }

  async close(): Promise<void> {
    await this.#orDiscard(async () => {
      await this.#write(await this.#frames.end())
      await this.#file?.close()
      this.#file = undefined
      await rename(this.#temporary, this.#path)
    })
  }

  async discard(): Promise<void> {
    const file = this.#file
    this.#file = undefined
    await file?.close()
    if (this.#isMade) await removeAll(this.#temporary)
  }

  async #write(chunk: Uint8Array): Promise<void> {
    if (this.#file === undefined) {
      this.#file = await this.#open()
      this.#isMade = true
    }
    // Unlike write(), goes on after a short write until all is written, or the disk is full.
    await this.#file.writeFile(chunk)
  }

  async #open(): Promise<FileHandle> {
    try {
      return await open(this.#temporary, 'wx')
    } catch (error) {
      if (codeOf(error) !== 'ENOENT') throw error
      // The first block of its owner.
      await mkdir(dirname(this.#path), { recursive: true })
      return await open(this.#temporary, 'wx')
    }
  }

  async #orDiscard(step: () => Promise<void>): Promise<void> {
    try {
      await step()
    } catch (error) {
      await this.discard()
      if (codeOf(error) === 'ENOENT') {
        throw new BlockMissingError(this.#owner, this.#name, 'it was removed while it was written', { cause: error })
      }
      throw fileError(error, 'write', this.#path)
    }
  }
}

async function removeAll(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true })
  } catch (error) {
    throw fileError(error, 'remove', path)
  }
}

async function readChunk(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafeSlow(length)
  const { bytesRead } = await file.read(buffer, 0, length, position)
  return buffer.subarray(0, bytesRead)
}
