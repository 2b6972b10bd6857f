// Atomic changes of numbers in a shared map. V8 compiles Atomics to the processor's locked instructions for every
// integer array, shared or not, so they hold across processes that map the same file; floats go by compare-and-swap.
import { BufferError } from '../errors.ts'
import type { Node } from './schema.ts'
import { describe, describeValue } from './schema.ts'
import type { Segment, Words } from './segment.ts'
import { BigCodec, NumberCodec, setFloat32, setFloat64 } from './values/numbers.ts'
import type { Codec } from './codec.ts'

type SmallKind = 'i8' | 'u8' | 'i16' | 'u16' | 'i32' | 'u32'

const smallSizes: Readonly<Record<string, number>> = { i8: 1, u8: 1, i16: 2, u16: 2, i32: 4, u32: 4 }

const word = new DataView(new ArrayBuffer(8))

function bitsOf32(value: number): number {
  setFloat32(word, 0, value)
  return word.getInt32(0, true)
}
function bitsOf64(value: number): bigint {
  setFloat64(word, 0, value)
  return word.getBigInt64(0, true)
}
function floatOf32(bits: number): number {
  word.setInt32(0, bits, true)
  return word.getFloat32(0, true)
}
function floatOf64(bits: bigint): number {
  word.setBigInt64(0, bits, true)
  return word.getFloat64(0, true)
}

function placeOf(segment: Segment, at: number, size: number): number {
  // Typed arrays lie on multiples of the size; so does every slot that was written by us.
  if (at % size !== 0) segment.fault(`a slot at ${at}`)
  return at / size
}

function smallWords(words: Words, kind: SmallKind): Words[SmallKind] {
  return words[kind]
}

/** Adds to the number in a slot; returns what it was. Integers wrap around. Errors: `BUFFER_READ_ONLY`, `BUFFER_VALUE`. */
export function atomicAdd(segment: Segment, codec: Codec, at: number, amount: number | bigint): number | bigint {
  const { words } = segment
  const { kind } = codec.node
  if (codec instanceof BigCodec) {
    if (typeof amount !== 'bigint') return refuse(codec.node, amount)
    const array = kind === 'i64' ? words.i64 : words.u64
    return Atomics.add(array, placeOf(segment, at, 8), amount)
  }
  if (!(codec instanceof NumberCodec) || typeof amount !== 'number') return refuse(codec.node, amount)
  if (kind === 'f32') {
    const place = placeOf(segment, at, 4)
    for (;;) {
      const before = Atomics.load(words.i32, place)
      const after = bitsOf32(floatOf32(before) + amount)
      if (Atomics.compareExchange(words.i32, place, before, after) === before) return floatOf32(before)
    }
  }
  if (kind === 'f64') {
    const place = placeOf(segment, at, 8)
    for (;;) {
      const before = Atomics.load(words.i64, place)
      const after = bitsOf64(floatOf64(before) + amount)
      if (Atomics.compareExchange(words.i64, place, before, after) === before) return floatOf64(before)
    }
  }
  if (!Number.isInteger(amount)) return refuse(codec.node, amount)
  return Atomics.add(smallWords(words, kind as SmallKind), placeOf(segment, at, smallSizes[kind] ?? 1), amount)
}

/** Puts `next` into a slot if it holds `expected`; whether it did. Errors: `BUFFER_READ_ONLY`, `BUFFER_VALUE`. */
export function atomicSwap(segment: Segment, codec: Codec, at: number, expected: unknown, next: unknown): boolean {
  const { words } = segment
  const { kind } = codec.node
  if (codec instanceof BigCodec) {
    const array = kind === 'i64' ? words.i64 : words.u64
    const before = codec.check(expected)
    return Atomics.compareExchange(array, placeOf(segment, at, 8), before, codec.check(next)) === before
  }
  if (kind === 'bool' && typeof expected === 'boolean' && typeof next === 'boolean') {
    return Atomics.compareExchange(words.u8, at, Number(expected), Number(next)) === Number(expected)
  }
  if (!(codec instanceof NumberCodec)) return refuse(codec.node, next)
  const before = codec.check(expected)
  const after = codec.check(next)
  if (kind === 'f32') {
    const bits = bitsOf32(before)
    return Atomics.compareExchange(words.i32, placeOf(segment, at, 4), bits, bitsOf32(after)) === bits
  }
  if (kind === 'f64') {
    const bits = bitsOf64(before)
    return Atomics.compareExchange(words.i64, placeOf(segment, at, 8), bits, bitsOf64(after)) === bits
  }
  const array = smallWords(words, kind as SmallKind)
  return Atomics.compareExchange(array, placeOf(segment, at, smallSizes[kind] ?? 1), before, after) === before
}

function refuse(node: Node, value: unknown): never {
  throw new BufferError('BUFFER_VALUE', `atomic change of ${describe(node)} by ${describeValue(value)}`)
}
