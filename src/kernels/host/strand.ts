// A strand of a chain in the host that runs it: one step after the other.
import { decodeStrand, nameOfStrand, strandOf, type DecodedCall, type Fence, type StrandName } from '../wire.ts'

export interface Strand {
  name: StrandName
  /** The server's name of it. */
  key: string
  /** In the position file. */
  place: number
  fence: Fence
  /** The stored call (phase 'r'), or the commit whose writes are yet to be applied (phase 'o'). */
  payload: Buffer
  /** What `payload` says, where it is known without reading it. */
  call: DecodedCall | undefined
  /** How many ran here while others waited. */
  steps: number
  /** The tag of the kernel that comes next, as last seen. */
  tag: string | undefined
}

export function makeStrand(key: string, value: Buffer, place: number): Strand {
  const { payload, ...fence } = decodeStrand(value)
  return { name: strandOf(key), key, place, fence, payload, call: undefined, steps: 0, tag: undefined }
}

/** Lets a strand go on as another one, or with its next step. */
export function becomes(strand: Strand, name: StrandName, value: Buffer): void {
  const { payload, ...fence } = decodeStrand(value)
  strand.name = name
  strand.key = nameOfStrand(name)
  strand.fence = fence
  strand.payload = payload
  strand.call = undefined
  strand.tag = undefined
}
