// How the key of a map becomes the one or two words that its rows are sorted by: numbers by their own value, in an
// order-preserving form; everything else by a hash.
import { BufferError } from '../errors.ts'
import type { Codec } from './codec.ts'
import { canShare } from './compile.ts'
import { decodeSlot } from './decoder.ts'
import { MisfitError } from './codec.ts'
import type { KeyForm } from './directory.ts'
import { HIGH_SEED, LOW_SEED } from './hash.ts'
import { Keying } from './keys.ts'
import type { Segment } from './segment.ts'
import { describe, describeValue, type Node } from './schema.ts'
import { isFloat, NumberCodec, BigCodec, setFloat32, setFloat64 } from './values/numbers.ts'
import { textAt } from './values/text.ts'

const SIGN = 0x80000000
const BIG_SIGN = 2n ** 63n

const floats = new DataView(new ArrayBuffer(8))
/** Where the high word of 64 bits is in it. */
const HIGH_AT = 4

/** The bits of a number key: 32 or 64; undefined for keys that are hashed. */
export function numberBits(node: Node): 32 | 64 | undefined {
  switch (node.kind) {
    case 'i8':
    case 'u8':
    case 'i16':
    case 'u16':
    case 'i32':
    case 'u32':
    case 'f32':
      return 32
    case 'f64':
    case 'i64':
    case 'u64':
      return 64
    default:
      return undefined
  }
}

/** Makes the words of keys: `high` and `low` of the last call to `fill` (32-bit keys have only `high`). */
export class KeyWords {
  high = 0
  low = 0
  readonly form: KeyForm
  readonly bits: 32 | 64
  readonly #codec: Codec
  readonly #keying: Keying
  readonly #sharing: boolean

  constructor(codec: Codec, form: KeyForm, bits: 32 | 64) {
    this.#codec = codec
    this.#keying = new Keying(codec)
    this.#sharing = canShare(codec.node)
    this.form = form
    this.bits = bits
    if (form === 'number' && numberBits(codec.node) !== bits) {
      throw new BufferError('BUFFER_CORRUPT', `keys of type ${describe(codec.node)} are not numbers of ${bits} bits`)
    }
  }

  /** Sets the words of a key; false for a value that no key of this type can equal. */
  fill(key: unknown): boolean {
    if (this.form === 'number') return this.#fillNumber(key)
    const high = this.#keying.hash(key, this.bits === 64 ? HIGH_SEED : LOW_SEED)
    if (high === undefined) return false
    this.high = high
    if (this.bits === 64) this.low = this.#keying.hash(key, LOW_SEED) ?? 0
    return true
  }

  /** As `fill`, for keys that are stored. Errors: `BUFFER_VALUE`. */
  fillOrThrow(key: unknown): void {
    if (this.fill(key)) return
    throw new MisfitError(`a key of type ${describe(this.#codec.node)}`, describeValue(key))
  }

  /** The number whose words these are. */
  numberOf(high: number, low: number): number | bigint {
    const { kind } = this.#codec.node
    switch (kind) {
      case 'u64':
      case 'i64': {
        const bits = (BigInt(high) << 32n) | BigInt(low)
        return kind === 'u64' ? bits : BigInt.asIntN(64, bits ^ BIG_SIGN)
      }
      case 'f32':
        floats.setUint32(0, high >= SIGN ? high - SIGN : ~high, true)
        return floats.getFloat32(0, true)
      case 'f64':
        floats.setUint32(HIGH_AT, high >= SIGN ? high - SIGN : ~high, true)
        floats.setUint32(0, high >= SIGN ? low : ~low, true)
        return floats.getFloat64(0, true)
      case 'i8':
      case 'i16':
      case 'i32':
        return high - SIGN
      default:
        return high
    }
  }

  /** A plain copy of the key stored `at` a position: of exact maps, behind the value. */
  keyAt(segment: Segment, at: number): unknown {
    if (this.#codec.node.kind === 'str') return textAt(segment, at)
    segment.need(at, this.#codec.size)
    return decodeSlot(this.#codec, segment, at, this.#sharing)
  }

  /** Whether the key at a position of an exact map is `key`. */
  isAt(segment: Segment, at: number, key: unknown): boolean {
    if (this.#codec.node.kind === 'str') return typeof key === 'string' && this.#keying.isTextAt(segment, at, key)
    segment.need(at, this.#codec.size)
    return this.#keying.isAt(segment, at, key)
  }

  #fillNumber(key: unknown): boolean {
    const codec = this.#codec
    if (codec instanceof BigCodec) {
      const integer = typeof key === 'number' && Number.isSafeInteger(key) ? BigInt(key) : key
      if (typeof integer !== 'bigint') return false
      const bits = codec.node.kind === 'u64' ? integer : integer + BIG_SIGN
      if (bits < 0n || bits >= 2n ** 64n) return false
      this.high = Number(bits >> 32n)
      this.low = Number(bits & 0xffffffffn)
      return true
    }
    if (!(codec instanceof NumberCodec) || typeof key !== 'number') return false
    const { kind } = codec.node
    if (isFloat(kind)) return this.#fillFloat(kind === 'f32', key === 0 ? 0 : key)
    if (!codec.fits(key)) return false
    this.high = kind.startsWith('i') ? key + SIGN : key
    return true
  }

  /** Bits of positive floats are in order; those of negative ones in reverse. */
  #fillFloat(single: boolean, key: number): boolean {
    if (single) {
      setFloat32(floats, 0, key)
      if (!Object.is(floats.getFloat32(0, true), key)) return false
    } else setFloat64(floats, 0, key)
    const bits = floats.getUint32(single ? 0 : HIGH_AT, true)
    const negative = bits >= SIGN
    this.high = negative ? ~bits >>> 0 : bits + SIGN
    if (!single) this.low = negative ? ~floats.getUint32(0, true) >>> 0 : floats.getUint32(0, true)
    return true
  }
}
