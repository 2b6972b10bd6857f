// What the storage of every type has in common. A value has a slot of fixed size in whatever holds it (a struct, a
// list); it lies in the slot itself (fixed types) or elsewhere in the same segment, with a pointer in the slot.
import { BufferError } from '../errors.ts'
import type { Packer } from './packer.ts'
import type { Decoder } from './decoder.ts'
import type { Node } from './schema.ts'
import { describe, describeValue } from './schema.ts'
import type { Segment } from './segment.ts'

export interface Codec {
  readonly node: Node
  /** Bytes of a slot. */
  readonly size: number
  /** What the position of a slot is a multiple of. */
  readonly align: number
  /** Fills a slot that the packer has placed. */
  write(packer: Packer, slot: number, value: unknown): void
  /** A copy of the value, independent of the map. */
  plain(decoder: Decoder, segment: Segment, slot: number): unknown
  /** The value as a view on the map: lazy and without copies where the type has such a form. */
  view(segment: Segment, slot: number): unknown
  /** Places a value that no slot holds (the objects of an array) and returns its position. */
  put(packer: Packer, value: unknown): number
  plainAt(decoder: Decoder, segment: Segment, at: number): unknown
  viewAt(segment: Segment, at: number): unknown
}

/** A type whose values lie in their slots. */
export abstract class FixedCodec implements Codec {
  abstract readonly node: Node
  abstract readonly size: number
  abstract readonly align: number

  abstract write(packer: Packer, slot: number, value: unknown): void
  /** Reads a slot; the caller has checked that it lies in the segment. */
  abstract read(segment: Segment, slot: number): unknown

  plain(_decoder: Decoder, segment: Segment, slot: number): unknown {
    return this.read(segment, slot)
  }
  view(segment: Segment, slot: number): unknown {
    return this.read(segment, slot)
  }
  put(packer: Packer, value: unknown): number {
    const slot = packer.place(this.size, this.align)
    this.write(packer, slot, value)
    return slot
  }
  plainAt(_decoder: Decoder, segment: Segment, at: number): unknown {
    return this.viewAt(segment, at)
  }
  viewAt(segment: Segment, at: number): unknown {
    segment.need(at, this.size)
    return this.read(segment, at)
  }
}

/** Where a slot is written: a packer, or a map that is written in place. */
export interface SlotTarget {
  readonly base: number
  readonly view: DataView
}

/** A fixed type whose slots can be written again later: it needs nothing but the slot. */
export abstract class InPlaceCodec extends FixedCodec {
  abstract override write(target: SlotTarget, slot: number, value: unknown): void
}

export const POINTER_BYTES = 4
/** What a value takes that has nothing in it: what a pointer leads to lies in the segment, not at its end. */
export const LEAST_BYTES = 1

/** A type whose values lie outside of their slots. */
export abstract class PointerCodec implements Codec {
  abstract readonly node: Node
  readonly size = POINTER_BYTES
  readonly align = POINTER_BYTES

  abstract put(packer: Packer, value: unknown): number
  abstract plainAt(decoder: Decoder, segment: Segment, at: number): unknown
  abstract viewAt(segment: Segment, at: number): unknown

  write(packer: Packer, slot: number, value: unknown): void {
    packer.setPointer(slot, this.put(packer, value))
  }
  plain(decoder: Decoder, segment: Segment, slot: number): unknown {
    return this.plainAt(decoder, segment, segment.pointer(slot))
  }
  view(segment: Segment, slot: number): unknown {
    return this.viewAt(segment, segment.pointer(slot))
  }
}

export function alignUp(at: number, align: number): number {
  return (at + align - 1) & -align
}

/** Whether an object is but names and values: of no class, whichever realm it comes from. */
export function isPlainObject(value: object): boolean {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === null || Object.getPrototypeOf(prototype) === null
}

/** A value that does not fit; every container that it passes through puts its own name before the path. */
export class MisfitError extends BufferError {
  readonly expected: string
  readonly got: string
  readonly path: string

  constructor(expected: string, got: string, path = '') {
    super('BUFFER_VALUE', `${path === '' ? 'value' : path}: expected ${expected}, got ${got}`)
    this.name = 'BufferError'
    this.expected = expected
    this.got = got
    this.path = path
  }
}

export function misfit(node: Node, value: unknown, expected = describe(node)): never {
  throw new MisfitError(expected, describeValue(value))
}

/** The same error, as seen from a container: `name` is an attribute, or an index in brackets. */
export function within(error: unknown, name: string): unknown {
  if (!(error instanceof MisfitError)) return error
  const join = error.path === '' || error.path.startsWith('[') ? '' : '.'
  return new MisfitError(error.expected, error.got, `${name}${join}${error.path}`)
}
