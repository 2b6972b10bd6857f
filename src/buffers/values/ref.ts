// References to structs: they close cycles, and what they refer to is stored once however often it is referred to.
import { PointerCodec } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder, FillingCodec } from '../decoder.ts'
import { BufferError } from '../../errors.ts'
import { describe, describeValue, nodeIn, schemaOf, type Node, type Schema, type StructNode } from '../schema.ts'
import type { Segment } from '../segment.ts'

/** A reference to a struct that may be declared later: `ref((): Schema<Tree> => tree)`. */
export function ref<T extends object>(target: () => Schema<T>): Schema<T> {
  if (typeof target !== 'function') {
    throw new BufferError(
      'BUFFER_SCHEMA',
      `ref(...): expected a function that gives a struct, got ${describeValue(target)}`,
    )
  }
  let found: StructNode | undefined
  return schemaOf({
    kind: 'ref',
    target: () => {
      if (found) return found
      const node = nodeIn(target(), 'the schema of ref(...)')
      if (node.kind !== 'struct')
        throw new BufferError('BUFFER_SCHEMA', `ref(...) leads to structs, not to ${describe(node)}`)
      return (found = node)
    },
  })
}

export class RefCodec extends PointerCodec {
  readonly node: Node
  readonly #target: () => FillingCodec

  /** `target` is asked for late: in a cycle it does not exist yet. */
  constructor(node: Node, target: () => FillingCodec) {
    super()
    this.node = node
    this.#target = target
  }

  override write(packer: Packer, slot: number, value: unknown): void {
    const target = this.#target()
    const known = packer.find(target, value)
    if (known === undefined) packer.defer(slot, target, value)
    else packer.setPointer(slot, known)
  }

  override plain(decoder: Decoder, segment: Segment, slot: number): unknown {
    const at = segment.pointer(slot)
    decoder.spend(1)
    return decoder.link(this.#target(), at)
  }

  put(packer: Packer, value: unknown): number {
    return this.#target().put(packer, value)
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): unknown {
    return this.#target().plainAt(decoder, segment, at)
  }

  viewAt(segment: Segment, at: number): unknown {
    return this.#target().viewAt(segment, at)
  }
}
