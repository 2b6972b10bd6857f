// Integers, floats and booleans: little-endian, in their slots. 64-bit integers are bigint.
import { InPlaceCodec, misfit, type SlotTarget } from '../codec.ts'
import { schemaOf, type BigKind, type NumberKind, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'

export const i8: Schema<number> = schemaOf({ kind: 'i8' })
export const u8: Schema<number> = schemaOf({ kind: 'u8' })
export const i16: Schema<number> = schemaOf({ kind: 'i16' })
export const u16: Schema<number> = schemaOf({ kind: 'u16' })
export const i32: Schema<number> = schemaOf({ kind: 'i32' })
export const u32: Schema<number> = schemaOf({ kind: 'u32' })
/** Signed 64 bits, as bigint. */
export const i64: Schema<bigint> = schemaOf({ kind: 'i64' })
/** Unsigned 64 bits, as bigint. */
export const u64: Schema<bigint> = schemaOf({ kind: 'u64' })
/** 32-bit float: a number that it cannot hold exactly is rounded. */
export const f32: Schema<number> = schemaOf({ kind: 'f32' })
export const f64: Schema<number> = schemaOf({ kind: 'f64' })
export const bool: Schema<boolean> = schemaOf({ kind: 'bool' })

interface NumberForm {
  readonly size: number
  readonly least: number
  readonly most: number
  readonly get: (view: DataView, at: number) => number
  readonly set: (view: DataView, at: number, value: number) => void
}

export const numberForms: Readonly<Record<NumberKind, NumberForm>> = {
  i8: { size: 1, least: -0x80, most: 0x7f, get: (v, at) => v.getInt8(at), set: (v, at, n) => v.setInt8(at, n) },
  u8: { size: 1, least: 0, most: 0xff, get: (v, at) => v.getUint8(at), set: (v, at, n) => v.setUint8(at, n) },
  i16: {
    size: 2,
    least: -0x8000,
    most: 0x7fff,
    get: (v, at) => v.getInt16(at, true),
    set: (v, at, n) => v.setInt16(at, n, true),
  },
  u16: {
    size: 2,
    least: 0,
    most: 0xffff,
    get: (v, at) => v.getUint16(at, true),
    set: (v, at, n) => v.setUint16(at, n, true),
  },
  i32: {
    size: 4,
    least: -0x80000000,
    most: 0x7fffffff,
    get: (v, at) => v.getInt32(at, true),
    set: (v, at, n) => v.setInt32(at, n, true),
  },
  u32: {
    size: 4,
    least: 0,
    most: 0xffffffff,
    get: (v, at) => v.getUint32(at, true),
    set: (v, at, n) => v.setUint32(at, n, true),
  },
  f32: {
    size: 4,
    least: -Infinity,
    most: Infinity,
    get: (v, at) => v.getFloat32(at, true),
    set: setFloat32,
  },
  f64: {
    size: 8,
    least: -Infinity,
    most: Infinity,
    get: (v, at) => v.getFloat64(at, true),
    set: setFloat64,
  },
}

/** There are many NaN; one of them is stored, so that all are the same key. */
const NAN_32 = 0x7fc00000
const NAN_64_HIGH = 0x7ff80000

export function setFloat32(view: DataView, at: number, value: number): void {
  if (Number.isNaN(value)) view.setUint32(at, NAN_32, true)
  else view.setFloat32(at, value, true)
}

export function setFloat64(view: DataView, at: number, value: number): void {
  view.setFloat64(at, value, true)
  if (Number.isNaN(value)) {
    view.setUint32(at, 0, true)
    view.setUint32(at + 4, NAN_64_HIGH, true)
  }
}

export const bigBounds: Readonly<Record<BigKind, readonly [bigint, bigint]>> = {
  i64: [-(2n ** 63n), 2n ** 63n - 1n],
  u64: [0n, 2n ** 64n - 1n],
}

export function isFloat(kind: NumberKind): boolean {
  return kind === 'f32' || kind === 'f64'
}

export class NumberCodec extends InPlaceCodec {
  readonly node: { readonly kind: NumberKind }
  readonly size: number
  readonly align: number
  readonly #form: NumberForm
  readonly #whole: boolean

  constructor(kind: NumberKind) {
    super()
    this.node = { kind }
    this.#form = numberForms[kind]
    this.size = this.#form.size
    this.align = this.#form.size
    this.#whole = !isFloat(kind)
  }

  /** The number, if the type can hold it. Errors: `BUFFER_VALUE`. */
  check(value: unknown): number {
    if (typeof value !== 'number') return misfit(this.node, value)
    if (this.fits(value)) return value
    return misfit(this.node, value, `${this.node.kind} (${this.#form.least} to ${this.#form.most})`)
  }

  /** Whether the type can hold a number; floats take any. */
  fits(value: number): boolean {
    return !this.#whole || (Number.isInteger(value) && value >= this.#form.least && value <= this.#form.most)
  }

  write(target: SlotTarget, slot: number, value: unknown): void {
    this.#form.set(target.view, slot - target.base, this.check(value))
  }

  read(segment: Segment, slot: number): number {
    return this.#form.get(segment.view, slot)
  }
}

export class BigCodec extends InPlaceCodec {
  readonly node: { readonly kind: BigKind }
  readonly size = 8
  readonly align = 8

  constructor(kind: BigKind) {
    super()
    this.node = { kind }
  }

  /** The integer, if the type can hold it; numbers are taken while they are exact. Errors: `BUFFER_VALUE`. */
  check(value: unknown): bigint {
    const [least, most] = bigBounds[this.node.kind]
    const integer = typeof value === 'number' && Number.isSafeInteger(value) ? BigInt(value) : value
    if (typeof integer === 'bigint' && integer >= least && integer <= most) return integer
    return misfit(this.node, value, `${this.node.kind} (a bigint from ${least} to ${most})`)
  }

  write(target: SlotTarget, slot: number, value: unknown): void {
    // The bits of both kinds are the same.
    target.view.setBigInt64(slot - target.base, BigInt.asIntN(64, this.check(value)), true)
  }

  read(segment: Segment, slot: number): bigint {
    return this.node.kind === 'i64' ? segment.view.getBigInt64(slot, true) : segment.view.getBigUint64(slot, true)
  }
}

export class BoolCodec extends InPlaceCodec {
  readonly node = { kind: 'bool' } as const
  readonly size = 1
  readonly align = 1

  check(value: unknown): boolean {
    return typeof value === 'boolean' ? value : misfit(this.node, value)
  }

  write(target: SlotTarget, slot: number, value: unknown): void {
    target.view.setUint8(slot - target.base, this.check(value) ? 1 : 0)
  }

  read(segment: Segment, slot: number): boolean {
    return segment.view.getUint8(slot) !== 0
  }
}
