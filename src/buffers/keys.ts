// Keys: what sets, dicts and maps find values by. Two keys are the same if their canonical bytes are: strings by
// their text, numbers as in a JavaScript Map (-0 is 0, NaN is NaN), everything else by content, not by identity.
import { BufferError } from '../errors.ts'
import { FixedCodec, MisfitError, alignUp, type Codec } from './codec.ts'
import { hashBytes, LOW_SEED } from './hash.ts'
import { MAX_SEGMENT_BYTES } from './header.ts'
import { Packer } from './packer.ts'
import { holdsKind, type Node } from './schema.ts'
import type { Segment } from './segment.ts'
import { TextProbe } from './text-probe.ts'
import { NumberCodec } from './values/numbers.ts'

/** Shorter sets and dicts are searched from end to end. */
const LINEAR = 8

const scratch = new Packer(MAX_SEGMENT_BYTES, false, false)

/** Refuses schemas whose values have no content to compare: references can be cycles. */
export function checkKeyNode(node: Node, what: string): void {
  if (holdsKind(node, ['ref'])) throw new BufferError('BUFFER_SCHEMA', `${what} cannot hold ref(...)`)
}

/** Keys that are being made canonical: a set as a member of a set hashes its own members meanwhile. */
let busy = 0

/** The bytes that identify a key. The result is overwritten by the next call. Errors: `BUFFER_VALUE`. */
function canonicalBytes(codec: Codec, key: unknown): Uint8Array {
  const packer = busy === 0 ? scratch : new Packer(MAX_SEGMENT_BYTES, false, false)
  packer.undo(0)
  busy++
  try {
    codec.put(packer, key === 0 ? 0 : key)
  } finally {
    busy--
  }
  return packer.pending()
}

/** Hashes and compares the keys of one codec. */
export class Keying {
  readonly codec: Codec
  readonly #text: boolean
  /** Whether one key can be written in several ways: `1` and `'+1'`, `5` and `5n`. */
  readonly #manyForms: boolean
  readonly #probe = new TextProbe()

  constructor(codec: Codec) {
    this.codec = codec
    const { kind } = codec.node
    this.#text = kind === 'str'
    this.#manyForms = kind === 'decimal' || kind === 'i64' || kind === 'u64'
  }

  /**
   * What stands for a key in a JavaScript Map: the same for keys that are the same. Undefined for a value that is not of
   * the type, so that no key can equal it.
   */
  identity(key: unknown): string | number | undefined {
    if (this.#text) return typeof key === 'string' ? key : undefined
    if (this.codec instanceof NumberCodec) return typeof key === 'number' ? key : undefined
    return ofType(() => Buffer.from(canonicalBytes(this.codec, key)).toString('latin1'))
  }

  /** The hash of a key; undefined for a value that is not of the type, so that no key can equal it. */
  hash(key: unknown, seed: number): number | undefined {
    if (this.#text) return typeof key === 'string' ? this.#probe.hash(key, seed) : undefined
    return ofType(() => {
      const bytes = canonicalBytes(this.codec, key)
      return hashBytes(bytes, bytes.length, seed)
    })
  }

  /** Whether the text at a position is `key`. */
  isTextAt(segment: Segment, at: number, key: string): boolean {
    return this.#probe.isAt(segment, at, key)
  }

  /** Whether the key in a slot is `key`. */
  isAt(segment: Segment, slot: number, key: unknown): boolean {
    if (this.#text) return typeof key === 'string' && this.#probe.isAt(segment, segment.pointer(slot), key)
    return this.same(this.codec.view(segment, slot), key)
  }

  /** Whether a stored key and one from outside are the same. */
  same(stored: unknown, key: unknown): boolean {
    if (stored === key) return true
    if (!this.#manyForms) {
      if (typeof stored !== 'object' || stored === null) return Number.isNaN(stored) && Number.isNaN(key)
      if (typeof key !== 'object' && !(this.codec instanceof FixedCodec)) return false
    }
    const identity = this.identity(key)
    return identity !== undefined && identity === this.identity(stored)
  }
}

/** What is made of a key; undefined if the key is not of the type. */
function ofType<T>(make: () => T): T | undefined {
  try {
    return make()
  } catch (error) {
    if (error instanceof MisfitError) return undefined
    throw error
  }
}

/** Bytes of the table behind `count` keys: none for few keys. */
export function tableBytes(count: number): number {
  return count > LINEAR ? 4 + count * 8 : 0
}

/** Writes the table of `count` keys at `at`: their hashes in ascending order, then the index of each. */
export function writeTable(packer: Packer, at: number, hashes: readonly number[]): void {
  const count = hashes.length
  if (count <= LINEAR) return
  const start = alignUp(at, 4) - packer.base
  const order = Uint32Array.from(hashes, (_, index) => index).toSorted(
    (a, b) => (hashes[a] as number) - (hashes[b] as number) || a - b,
  )
  order.forEach((from, index) => {
    packer.view.setUint32(start + index * 4, hashes[from] as number, true)
    packer.view.setUint32(start + (count + index) * 4, from, true)
  })
}

/** The index of a key among `count` slots that begin at `first`, whose table is at `table`; -1 if it is not there. */
export function findKey(
  segment: Segment,
  keying: Keying,
  first: number,
  count: number,
  table: number,
  key: unknown,
): number {
  const { size } = keying.codec
  if (count <= LINEAR) {
    for (let index = 0; index < count; index++) if (keying.isAt(segment, first + index * size, key)) return index
    return -1
  }
  const hash = keying.hash(key, LOW_SEED)
  if (hash === undefined) return -1
  const start = alignUp(table, 4)
  segment.need(start, count * 8)
  let low = 0
  let high = count
  while (low < high) {
    const middle = (low + high) >>> 1
    if (segment.view.getUint32(start + middle * 4, true) < hash) low = middle + 1
    else high = middle
  }
  for (; low < count && segment.view.getUint32(start + low * 4, true) === hash; low++) {
    const index = segment.view.getUint32(start + (count + low) * 4, true)
    if (index >= count) segment.fault(`the table at ${table}`)
    if (keying.isAt(segment, first + index * size, key)) return index
  }
  return -1
}
