// The bytes of one text file, in chunks, as text that the parsers understand: a byte below 0x80 is that ASCII character.
// UTF-8 and the single-byte encodings are so as they lie; all others are decoded and given as UTF-8.
import { open } from 'node:fs/promises'
import { PlanError } from '../../../errors.ts'

const defaultChunkBytes = 512 * 1024
const singleByte = /^(utf-8|ibm866|iso-8859-.*|koi8-.*|macintosh|windows-(?!949).*|x-mac-cyrillic)$/

/** How the bytes of a file become strings. */
export class Encoding {
  /** The name that the encoding standard gives it. */
  readonly name: string
  readonly fatal: boolean

  constructor(label: string, fatal: boolean) {
    this.name = new TextDecoder(label).encoding
    this.fatal = fatal
  }

  /** Whether a file can be split at any byte: nothing but line ends, separators and quotes looks like them. */
  get splittable(): boolean {
    return singleByte.test(this.name)
  }

  /** Decodes what a source gave. Throws PLAN_ENCODING where bytes are not valid and the encoding is fatal. */
  decoder(): (bytes: Buffer, from: number, to: number) => string {
    if (!this.fatal) {
      if (this.name === 'utf-8' || !this.splittable) return (bytes, from, to) => bytes.toString('utf8', from, to)
      const decoder = new TextDecoder(this.name)
      return (bytes, from, to) => decoder.decode(bytes.subarray(from, to))
    }
    const decoder = new TextDecoder(this.splittable ? this.name : 'utf-8', { fatal: true, ignoreBOM: true })
    return (bytes, from, to) => {
      let text: string | undefined
      try {
        text = decoder.decode(bytes.subarray(from, to))
      } catch {
        // Said below, with the name of the encoding.
      }
      // What was decoded in the source has its invalid bytes replaced already.
      if (text === undefined || (!this.splittable && text.includes('\uFFFD'))) {
        throw new PlanError('PLAN_ENCODING', `bytes are not valid ${this.name}`)
      }
      return text
    }
  }
}

export type Chunks = AsyncGenerator<Buffer>

export class TextSource {
  readonly path: string
  readonly encoding: Encoding
  readonly #chunkBytes: number
  // How many lines end before an offset, for the last offset that was asked for.
  #counted = { offset: 0, lines: 0 }

  constructor(path: string, encoding: Encoding, chunkBytes = defaultChunkBytes) {
    this.path = path
    this.encoding = encoding
    this.#chunkBytes = chunkBytes
  }

  /**
   * The file from an offset on; offsets are those of the UTF-8 where the file is decoded.
   * @param reuse whether a chunk may be overwritten when the next one is asked for
   */
  chunks(from: number, reuse = false): Chunks {
    return this.encoding.splittable ? rawChunks(this.path, from, this.#chunkBytes, reuse) : this.#decoded(from)
  }

  /** Where the first character is: behind the byte order mark of UTF-8. */
  async start(): Promise<number> {
    if (this.encoding.name !== 'utf-8') return 0
    for await (const chunk of rawChunks(this.path, 0, 4)) {
      return chunk[0] === 0xef && chunk[1] === 0xbb && chunk[2] === 0xbf ? 3 : 0
    }
    return 0
  }

  async *#decoded(from: number): Chunks {
    const decoder = new TextDecoder(this.encoding.name)
    let skip = from
    const cut = (text: string): Buffer => {
      const bytes = Buffer.from(text)
      const rest = bytes.subarray(Math.min(skip, bytes.length))
      skip -= bytes.length - rest.length
      return rest
    }
    for await (const chunk of rawChunks(this.path, 0, this.#chunkBytes)) {
      const bytes = cut(decoder.decode(chunk, { stream: true }))
      if (bytes.length > 0) yield bytes
    }
    const bytes = cut(decoder.decode())
    if (bytes.length > 0) yield bytes
  }

  /** `path:line` of an offset. Counts the lines in front of it: for errors only. */
  async place(offset: number): Promise<string> {
    if (offset < this.#counted.offset) this.#counted = { offset: 0, lines: 0 }
    let { offset: at, lines } = this.#counted
    if (at < offset) {
      for await (const chunk of this.chunks(at)) {
        const end = Math.min(chunk.length, offset - at)
        for (let i = chunk.indexOf(10); i >= 0 && i < end; i = chunk.indexOf(10, i + 1)) lines++
        at += end
        if (at >= offset) break
      }
    }
    this.#counted = { offset, lines }
    return `${this.path}:${lines + 1}`
  }
}

async function* rawChunks(path: string, from: number, chunkBytes: number, reuse = false): Chunks {
  const file = await open(path)
  try {
    let kept: Buffer | undefined
    for (let at = from; ;) {
      const chunk = kept ?? Buffer.allocUnsafeSlow(chunkBytes)
      if (reuse) kept = chunk
      const { bytesRead } = await file.read(chunk, 0, chunkBytes, at)
      if (bytesRead === 0) return
      at += bytesRead
      yield chunk.subarray(0, bytesRead)
      // A file ends where less comes than was asked for.
      if (bytesRead < chunkBytes) return
    }
  } finally {
    await file.close()
  }
}
