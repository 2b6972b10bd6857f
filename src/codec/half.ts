// 16-bit floats as their bits: IEEE 754 half precision (float16) and the upper half of a float32 (bfloat16). Rounding is to
// the nearest, ties to even, as hardware does.

const float = new Float32Array(1)
const bits = new Uint32Array(float.buffer)

/** The number that the bits of a half float stand for. */
export function halfToNumber(half: number): number {
  const sign = half & 0x8000 ? -1 : 1
  const exponent = (half >> 10) & 0x1f
  const fraction = half & 0x3ff
  if (exponent === 0) return sign * fraction * 2 ** -24
  if (exponent === 0x1f) return fraction === 0 ? sign * Infinity : Number.NaN
  return sign * (1024 + fraction) * 2 ** (exponent - 25)
}

/** The bits of the half float nearest to a number; beyond 65,519 that is an infinity. */
export function numberToHalf(value: number): number {
  if (Number.isNaN(value)) return 0x7e00
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0
  const size = Math.abs(value)
  // Halfway to the number that would follow the largest, 65,504.
  if (size >= 65_520) return sign | 0x7c00
  // Below 2^-14 the steps are 2^-24, above they double with the exponent. Scaling by powers of two is exact.
  const exponent = Math.max(-14, Math.floor(Math.log2(size)))
  const scaled = size * 2 ** (10 - exponent)
  // log2 may be off by one next to a power of two; what is carried over or under is still encoded right below.
  const steps = roundToEven(scaled)
  if (steps >= 2048) return sign | encode(exponent + 1, roundToEven(scaled / 2))
  if (steps < 1024 && exponent > -14) return sign | encode(exponent - 1, roundToEven(scaled * 2))
  return sign | encode(exponent, steps)
}

function encode(exponent: number, steps: number): number {
  return steps < 1024 ? steps : ((exponent + 15) << 10) + (steps - 1024)
}

function roundToEven(value: number): number {
  const floor = Math.floor(value)
  const rest = value - floor
  if (rest > 0.5 || (rest === 0.5 && floor % 2 === 1)) return floor + 1
  return floor
}

/** The number that the bits of a bfloat16 stand for. */
export function brainToNumber(brain: number): number {
  bits[0] = brain << 16
  return float[0] ?? 0
}

/** The bits of the bfloat16 nearest to a number, by way of float32. */
export function numberToBrain(value: number): number {
  float[0] = value
  const whole = bits[0] ?? 0
  if (Number.isNaN(value)) return ((whole >>> 16) | 0x40) & 0xffff
  const rounding = 0x7fff + ((whole >>> 16) & 1)
  return ((whole + rounding) >>> 16) & 0xffff
}
