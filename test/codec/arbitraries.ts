// What codecs are asked to carry, at random.
import fc from 'fast-check'

// Any UTF-16 code unit: lone surrogates too.
export const anyText = fc.string({ unit: fc.nat(0xffff).map((unit) => String.fromCharCode(unit)) })
export const wellFormed = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary-ascii' }))
export const number = fc.oneof(
  fc.double(),
  fc.integer(),
  fc.maxSafeNat(),
  fc.constantFrom(-0, Number.NaN, 2 ** 53 + 2, 2 ** 64, 255, 256),
)

export const anything = fc.anything({
  key: fc.oneof(anyText, fc.constantFrom('__proto__', 'constructor', 'toJSON', 'key', 'value', 'length', '0')),
  values: [
    anyText,
    number,
    fc.boolean(),
    fc.constantFrom(null, undefined),
    fc.bigInt(),
    fc.date({ noInvalidDate: true }),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.constantFrom(/a+/giu),
  ],
  withBoxedValues: true,
  withMap: true,
  withSet: true,
  withTypedArray: true,
  withSparseArray: true,
  withNullPrototype: true,
})
