import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeCall, encodeCall, packValue, unpackValue } from '../../src/kernels/wire.ts'
import type { Value } from '../../src/kernels/step.ts'

const own = (name: string, value: Value): Value => Object.fromEntries([[name, value]]) as Value
const key = fc.oneof(fc.string({ unit: 'grapheme' }), fc.constantFrom('__proto__', 'constructor', 'hasOwnProperty', ''))
const { value } = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.constantFrom(null, true, false),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((number) => (number === 0 ? 0 : number)),
    fc.string({ unit: 'grapheme' }),
    fc.array(tie('value'), { maxLength: 5 }),
    fc.array(fc.tuple(key, tie('value')), { maxLength: 5 }).map((entries) => Object.fromEntries(entries) as Value),
  ),
}))

it('carries data as they are, whatever their keys are called', () => {
  fc.assert(
    fc.property(value, fc.array(value, { maxLength: 3 }), (data, args) => {
      // As text: what is compared has keys that matchers ask for.
      expect(JSON.stringify(unpackValue(packValue(data)))).toBe(JSON.stringify(data))
      const call = { name: 'name', args, raw: false }
      expect(JSON.stringify(decodeCall(encodeCall('name', args)))).toBe(JSON.stringify(call))
    }),
  )
  const named = unpackValue(packValue([own('__proto__', { a: Uint8Array.of(1) })]))
  expect(named).toStrictEqual([own('__proto__', { a: Buffer.of(1) } as Value)])
})

it('carries objects of many keys', () => {
  const many = Object.fromEntries(Array.from({ length: 70_000 }, (_, i) => [`key${i}`, i]))
  expect(unpackValue(packValue(many))).toStrictEqual(many)
})
