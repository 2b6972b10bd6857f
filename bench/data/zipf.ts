// Words by Zipf's law: a vocabulary of distinct words, and a sampler that takes constant time a word (Walker's alias
// method: https://en.wikipedia.org/wiki/Alias_method).

/** 32-bit pseudo-random numbers (sfc32, from PractRand), the same for the same seeds. */
export class Random {
  #a: number
  #b: number
  #c: number
  #counter = 1

  constructor(seed: number, stream: number) {
    this.#a = seed | 0
    this.#b = Math.trunc(seed / 2 ** 32) | 0
    this.#c = stream | 0
    // The state needs a few rounds until similar seeds give unlike numbers.
    for (let round = 0; round < 16; round++) this.next()
  }

  /** 0 .. 2^32 - 1. */
  next(): number {
    const sum = (this.#a + this.#b + this.#counter) | 0
    this.#counter = (this.#counter + 1) | 0
    this.#a = this.#b ^ (this.#b >>> 9)
    this.#b = (this.#c + (this.#c << 3)) | 0
    this.#c = (((this.#c << 21) | (this.#c >>> 11)) + sum) | 0
    return sum >>> 0
  }

  /** 0 .. bound - 1. The bias of 2^-32 times the bound does not matter here. */
  below(bound: number): number {
    return Math.floor((this.next() / 2 ** 32) * bound)
  }
}

/** The bytes of all words one after the other, in order of rank; word i lies from `offsets[i]` to `offsets[i + 1]`. */
export interface Vocabulary {
  readonly bytes: Uint8Array
  readonly offsets: Uint32Array
}

const shortest = 2
const longest = 12

/** Distinct words of 2 to 12 letters a-z. */
export function makeVocabulary(size: number, random: Random): Vocabulary {
  const seen = new Set<string>()
  const bytes = new Uint8Array(size * longest)
  const offsets = new Uint32Array(size + 1)
  let end = 0
  while (seen.size < size) {
    const length = shortest + random.below(longest - shortest + 1)
    for (let i = 0; i < length; i++) bytes[end + i] = 97 + random.below(26)
    const word = String.fromCharCode(...bytes.subarray(end, end + length))
    if (seen.has(word)) continue
    seen.add(word)
    end += length
    offsets[seen.size] = end
  }
  return { bytes: bytes.slice(0, end), offsets }
}

/** Draws ranks (from 0) with probability proportional to 1 / (rank + 1)^s. */
export class ZipfSampler {
  readonly #size: number
  readonly #keep: Float64Array
  readonly #alias: Uint32Array

  constructor(size: number, s: number) {
    const weights = Float64Array.from({ length: size }, (_, rank) => (rank + 1) ** -s)
    const sum = weights.reduce((total, weight) => total + weight, 0)
    this.#size = size
    this.#keep = weights.map((weight) => (weight / sum) * size)
    this.#alias = Uint32Array.from({ length: size }, (_, rank) => rank)
    this.#level()
  }

  sample(random: Random): number {
    const rank = random.below(this.#size)
    return random.next() / 2 ** 32 < (this.#keep[rank] ?? 1) ? rank : (this.#alias[rank] ?? rank)
  }

  /** Fills columns that are too low from ones that are too high, until all are of height 1. */
  #level(): void {
    const keep = this.#keep
    const low: number[] = []
    const high: number[] = []
    keep.forEach((height, rank) => (height < 1 ? low : high).push(rank))
    while (low.length > 0 && high.length > 0) {
      const [taker = 0, giver = 0] = [low.pop(), high.at(-1)]
      this.#alias[taker] = giver
      keep[giver] = (keep[giver] ?? 0) - (1 - (keep[taker] ?? 0))
      if ((keep[giver] ?? 0) < 1) {
        high.pop()
        low.push(giver)
      }
    }
    // What rounding left over is full.
    for (const rank of [...low, ...high]) keep[rank] = 1
  }
}
