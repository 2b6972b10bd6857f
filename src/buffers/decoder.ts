// The state of one plain copy: which objects exist already (so that shared ones and cycles come out as they went in),
// what is still to be linked, and how much a damaged or hostile file may make us decode.
import type { Codec } from './codec.ts'
import type { Segment } from './segment.ts'

/** One element costs this much of the budget: about what it takes in memory. It takes at least one byte of the file. */
const ELEMENT = 16
/** Bytes that any object may expand to; each byte of its segment allows for an element more. */
const BASE_BUDGET = 2 ** 26
const DEEPEST = 500

/** A codec whose objects exist before their content is read: what references need. */
export interface FillingCodec extends Codec {
  fill(decoder: Decoder, segment: Segment, at: number, object: Record<string, unknown>): void
}

interface Link {
  readonly codec: FillingCodec
  readonly at: number
  readonly object: Record<string, unknown>
}

export class Decoder {
  readonly #segment: Segment
  readonly #memo: Map<number, Map<Codec, unknown>> | undefined
  readonly #links: Link[] = []
  #budget: number
  #depth = 0

  /** `sharing`: whether two places of an object can hold the same thing, so that it has to be remembered. */
  constructor(segment: Segment, sharing: boolean) {
    this.#segment = segment
    this.#memo = sharing ? new Map() : undefined
    this.#budget = BASE_BUDGET + ELEMENT * segment.limit
  }

  /** Counts elements and bytes that are about to be made. Errors: `BUFFER_CORRUPT`. */
  spend(elements: number, bytes = 0): void {
    this.#budget -= elements * ELEMENT + bytes
    if (this.#budget < 0) this.#segment.fault('one object that expands to more than the segment could hold')
  }

  find(codec: Codec, at: number): unknown {
    return this.#memo?.get(at)?.get(codec)
  }

  remember(codec: Codec, at: number, value: unknown): void {
    if (!this.#memo) return
    const here = this.#memo.get(at)
    if (here) here.set(codec, value)
    else this.#memo.set(at, new Map([[codec, value]]))
  }

  enter(): void {
    if (++this.#depth > DEEPEST) this.#segment.fault(`nested deeper than ${DEEPEST}`)
  }

  leave(): void {
    this.#depth--
  }

  /** The object at a position, filled later: chains of references need no stack. */
  link(codec: FillingCodec, at: number): unknown {
    const known = this.find(codec, at)
    if (known !== undefined) return known
    const object = {}
    this.remember(codec, at, object)
    this.#links.push({ codec, at, object })
    return object
  }

  finish(): void {
    for (let link = this.#links.pop(); link; link = this.#links.pop()) {
      link.codec.fill(this, this.#segment, link.at, link.object)
    }
  }
}

/** A plain copy of the object at a position, with everything it refers to. */
export function decodeAt(codec: Codec, segment: Segment, at: number, sharing: boolean): unknown {
  const decoder = new Decoder(segment, sharing)
  const value = codec.plainAt(decoder, segment, at)
  decoder.finish()
  return value
}

/** As `decodeAt`, for a value in a slot; the caller has checked that the slot lies in the segment. */
export function decodeSlot(codec: Codec, segment: Segment, slot: number, sharing: boolean): unknown {
  const decoder = new Decoder(segment, sharing)
  const value = codec.plain(decoder, segment, slot)
  decoder.finish()
  return value
}
