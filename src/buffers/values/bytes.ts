// Bytes: a u32 length, then the data. Large values can be compressed: the top bit of the length says so, and the raw
// length follows.
import { deflateRawSync, inflateRawSync } from 'node:zlib'
import { checkOptions } from '../arguments.ts'
import { PointerCodec, misfit } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { callableSchema, schemaOf, type BytesNode, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'

export interface BytesOptions {
  /** Deflate values above 512 bytes where that saves a third; reading such a value copies it. Default false. */
  readonly compress?: boolean
}

/** Bytes, as Uint8Array: `bytes`, or `bytes({ compress: true })`. Views are zero-copy unless compressed. */
export const bytes: Schema<Uint8Array> & ((options?: BytesOptions) => Schema<Uint8Array>) = callableSchema(
  { kind: 'bytes', compress: false },
  (options: BytesOptions = {}): Schema<Uint8Array> => {
    checkOptions(options, ['compress'])
    return schemaOf({ kind: 'bytes', compress: options.compress === true })
  },
)

const COMPRESSED = 0x80000000
const BOMB_ALLOWANCE = 16
/** Below, compressing does not pay. */
const COMPRESS_ABOVE = 512

export class BytesCodec extends PointerCodec {
  readonly node: BytesNode

  constructor(node: BytesNode) {
    super()
    this.node = node
  }

  put(packer: Packer, value: unknown): number {
    if (!(value instanceof Uint8Array)) return misfit(this.node, value, 'a Uint8Array')
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const at = this.#place(packer, value)
    packer.remember(this, value, at)
    return at
  }

  #place(packer: Packer, value: Uint8Array): number {
    if (this.node.compress && value.length > COMPRESS_ABOVE) {
      const small = deflateRawSync(value, { level: 1 })
      if (small.length <= (value.length * 2) / 3) {
        const at = packer.place(8 + small.length, 4)
        const start = at - packer.base
        packer.view.setUint32(start, COMPRESSED + small.length, true)
        packer.view.setUint32(start + 4, value.length, true)
        packer.bytes.set(small, start + 8)
        return at
      }
    }
    const at = packer.place(4 + value.length, 4)
    const start = at - packer.base
    packer.view.setUint32(start, value.length, true)
    packer.bytes.set(value, start + 4)
    return at
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): Uint8Array {
    const known = decoder.find(this, at)
    if (known !== undefined) return known as Uint8Array
    segment.need(at, 4)
    const head = segment.view.getUint32(at, true)
    const value =
      head >= COMPRESSED ? this.#inflate(segment, at, decoder) : new Uint8Array(this.#raw(segment, at, head, decoder))
    decoder.remember(this, at, value)
    return value
  }

  #raw(segment: Segment, at: number, length: number, decoder?: Decoder): Uint8Array {
    segment.need(at + 4, length)
    decoder?.spend(1, length)
    return new Uint8Array(segment.buffer, at + 4, length)
  }

  viewAt(segment: Segment, at: number): Uint8Array {
    segment.need(at, 4)
    const head = segment.view.getUint32(at, true)
    return head >= COMPRESSED ? this.#inflate(segment, at) : this.#raw(segment, at, head)
  }

  #inflate(segment: Segment, at: number, decoder?: Decoder): Uint8Array {
    segment.need(at, 8)
    const stored = segment.view.getUint32(at, true) - COMPRESSED
    const raw = segment.view.getUint32(at + 4, true)
    segment.need(at + 8, stored)
    // Deflate cannot do better than about 1:1032; more is a bomb.
    if (raw > stored * 1040 + 64) segment.fault(`${raw} bytes compressed to ${stored} at ${at}`)
    // Honest data can shrink a thousandfold, so it is charged for a part of what it becomes; bombs end there too.
    decoder?.spend(1, raw / BOMB_ALLOWANCE)
    try {
      const packed = new Uint8Array(segment.buffer, at + 8, stored)
      const data = inflateRawSync(packed, { maxOutputLength: Math.max(raw, 1) })
      if (data.length === raw) return new Uint8Array(data.buffer, data.byteOffset, raw)
    } catch {
      // Told below, as every other damage.
    }
    return segment.fault(`compressed bytes at ${at}`)
  }
}
