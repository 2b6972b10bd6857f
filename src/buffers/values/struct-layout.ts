// Where the attributes of a struct lie: slots first, the largest first, then one bit for every attribute that may be
// absent and one for every attribute that may be null.
import { alignUp, type Codec } from '../codec.ts'
import type { Attribute, StructNode } from '../schema.ts'
import type { Segment } from '../segment.ts'

/** Where an attribute lies in its struct. */
export interface Place {
  readonly name: string
  readonly codec: Codec
  /** Offset of the slot. */
  readonly at: number
  /** Bits (counted from the begin of the struct) that say that it is absent or null; -1 if it cannot be. */
  readonly absentBit: number
  readonly nullBit: number
}

/** An attribute as a reader sees it: `place` is undefined for those that the file does not have. */
export interface Visible {
  readonly name: string
  readonly place: Place | undefined
}

export interface Layout {
  readonly places: readonly Place[]
  readonly bytes: number
  readonly align: number
}

/** Slots by size, largest first, equals as declared; then the bits. The attribute's own `nullable` becomes a bit. */
export function layOut(node: StructNode, compile: (attribute: Attribute) => Codec): Layout {
  const slots = node.attributes.map((attribute) => ({ attribute, codec: compile(attribute), at: 0 }))
  let end = 0
  for (const slot of slots.toSorted((a, b) => b.codec.size - a.codec.size)) {
    slot.at = alignUp(end, slot.codec.align)
    end = slot.at + slot.codec.size
  }
  let bit = end * 8
  const places = slots.map(({ attribute, codec, at }): Place => {
    const absentBit = attribute.optional ? bit++ : -1
    const nullBit = attribute.node.kind === 'nullable' ? bit++ : -1
    return { name: attribute.name, codec, at, absentBit, nullBit }
  })
  return { places, bytes: Math.ceil(bit / 8), align: Math.max(1, ...slots.map(({ codec }) => codec.align)) }
}

export function bitIsSet(segment: Segment, at: number, bit: number): boolean {
  return bit >= 0 && (segment.view.getUint8(at + (bit >> 3)) & (1 << (bit & 7))) !== 0
}
