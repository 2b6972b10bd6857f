// The order of many numbers: a radix sort of their bits, several times faster than a comparison for each pair. Stable.

// Shorter lists are sorted by comparison: the counts of each pass take longer than that.
const fewest = 2048
const digits = 65_536

/** One pass: 16 bits of one half of the numbers' bits. */
interface Pass {
  readonly half: 0 | 1
  readonly shift: 0 | 16
}
const passes: readonly Pass[] = [
  { half: 0, shift: 0 },
  { half: 0, shift: 16 },
  { half: 1, shift: 0 },
  { half: 1, shift: 16 },
]

/**
 * Records by the numbers that they have as keys, as `compareValues` orders them: NaN after all others. Undefined where a key is
 * none, or where there are few.
 */
export function sortedByNumber(
  records: readonly unknown[],
  keyOf: (record: unknown) => unknown,
  isDescending: boolean,
): unknown[] | undefined {
  const { length } = records
  if (length < fewest) return undefined
  const keys = new Float64Array(length)
  for (let i = 0; i < length; i++) {
    const key = keyOf(records[i])
    if (typeof key !== 'number') return undefined
    // Both zeros are one.
    keys[i] = key + 0
  }
  const order = orderOf(keys, isDescending)
  const sorted = new Array<unknown>(length)
  for (let i = 0; i < length; i++) sorted[i] = records[order[i] as number]
  return sorted
}

function orderOf(keys: Float64Array, isDescending: boolean): Uint32Array {
  const { length } = keys
  // Little-endian: the low half of each number first.
  const bits = new Uint32Array(keys.buffer)
  const halves = [new Uint32Array(length), new Uint32Array(length)] as const
  const flipped = isDescending ? 0xffff_ffff : 0
  for (let i = 0; i < length; i++) {
    let low = bits[2 * i] as number
    let high = bits[2 * i + 1] as number
    if (Number.isNaN(keys[i])) low = high = 0xffff_ffff
    else if (high >>> 31 === 1) {
      low = ~low
      high = ~high
    } else high |= 0x8000_0000
    halves[0][i] = low ^ flipped
    halves[1][i] = high ^ flipped
  }
  let order = new Uint32Array(length)
  let next = new Uint32Array(length)
  for (let i = 0; i < length; i++) order[i] = i
  const starts = new Uint32Array(digits)
  for (const { half, shift } of passes) {
    const words = halves[half]
    starts.fill(0)
    for (let i = 0; i < length; i++) {
      const digit = ((words[i] as number) >>> shift) & 0xffff
      starts[digit] = (starts[digit] as number) + 1
    }
    // All of them have one digit here: the order stays.
    if (starts[((words[0] as number) >>> shift) & 0xffff] === length) continue
    let start = 0
    for (let digit = 0; digit < digits; digit++) {
      const count = starts[digit] as number
      starts[digit] = start
      start += count
    }
    for (let i = 0; i < length; i++) {
      const index = order[i] as number
      const digit = ((words[index] as number) >>> shift) & 0xffff
      const place = starts[digit] as number
      starts[digit] = place + 1
      next[place] = index
    }
    const swapped = order
    order = next
    next = swapped
  }
  return order
}
