// What is measured: a million records, and a million string keys, the same for every store.

export interface Rec {
  id: number
  name: string
  score: number
  tags: string[]
}

/** xorshift32, 0 to 1. */
function randomNumbers(seed: number): () => number {
  let state = seed
  return () => {
    state ^= state << 13
    state ^= state >>> 17
    state ^= state << 5
    return (state >>> 0) / 2 ** 32
  }
}

/** `{ id, name of 12 characters, score, 3 tags of 1,000 }`. */
export function* records(count: number): Generator<Rec> {
  const random = randomNumbers(1)
  const tags = Array.from({ length: 1000 }, (_, index) => `tag-${index}`)
  const tag = () => tags[Math.floor(random() * 1000)] as string
  for (let id = 0; id < count; id++) {
    const name = Math.floor(random() * 36 ** 6).toString(36) + Math.floor(random() * 36 ** 6).toString(36)
    yield { id, name: name.padStart(12, '-'), score: random(), tags: [tag(), tag(), tag()] }
  }
}

/** A key of 20 characters. */
export function keyOf(index: number): string {
  const scrambled = Math.imul(index, 0x9e3779b1) >>> 0
  return `k${scrambled.toString(36).padStart(9, '0')}${index.toString(36).padStart(10, '0')}`
}

/** Places in random order, as often as there are records. */
export function places(count: number): Uint32Array {
  const random = randomNumbers(7)
  return Uint32Array.from({ length: count }, () => Math.floor(random() * count))
}

/** Keys that are there, and keys that are not, as strings of their own: none shares memory with what was stored. */
export function lookups(count: number): { readonly hits: readonly string[]; readonly misses: readonly string[] } {
  const order = places(count)
  const own = (text: string) => Buffer.from(text).toString('latin1')
  return {
    hits: Array.from(order, (index) => own(keyOf(index))),
    misses: Array.from(order, (index) => own(`m${keyOf(index).slice(1)}`)),
  }
}
