import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { GearmillError } from '../../../src/errors.ts'
import { makeTextForm, readTextForm } from '../../../src/kernels/sandbox/text-form.ts'
import type { Value } from '../../../src/kernels/step.ts'

const form = makeTextForm()

function written(value: Value): unknown {
  if (value === null) return form.nothing()
  if (typeof value === 'string') return form.text(value)
  if (typeof value === 'number') return form.number(value)
  if (typeof value === 'boolean') return form.flag(value)
  if (value instanceof Uint8Array) return form.bytes(value)
  if (Array.isArray(value)) return form.list((value as readonly Value[]).map(written))
  return form.object(Object.keys(value), Object.values(value as Record<string, Value>).map(written))
}

const value: fc.Arbitrary<Value> = fc.letrec<{ value: Value }>((tie) => ({
  value: fc.oneof(
    { maxDepth: 4 },
    fc.string({ unit: 'binary' }),
    // Lone surrogates.
    fc.array(fc.integer({ min: 0xd7f0, max: 0xe010 })).map((codes) => String.fromCharCode(...codes)),
    fc.double({ noNaN: true, noDefaultInfinity: true }).map((x) => (Object.is(x, -0) ? 0 : x)),
    fc.boolean(),
    fc.constant(null),
    fc.uint8Array().map((bytes) => Buffer.from(bytes)),
    fc.array(tie('value')),
    fc.dictionary(fc.string({ unit: 'binary' }), tie('value'), { noNullPrototype: true }),
  ),
})).value

const codeOf = (text: string): string => {
  try {
    readTextForm(text)
    return 'read'
  } catch (error) {
    return error instanceof GearmillError ? error.code : String(error)
  }
}

describe('the text form', () => {
  it('gives back every value', () => {
    fc.assert(
      fc.property(value, (given) => {
        expect(readTextForm(form.finish(written(given)))).toEqual(given)
      }),
    )
  })

  it('carries no character that would get lost on its way', () => {
    fc.assert(
      fc.property(value, (given) => {
        const text = form.finish(written(given))
        expect(text.includes('\0')).toBe(false)
        expect(new TextDecoder().decode(new TextEncoder().encode(text))).toBe(text)
      }),
    )
  })

  it('is read or refused, whatever it is', () => {
    const piece = fc.constantFrom('a', 'o', 's', 'n', 'b', 't', 'z', 'J', '"', ':', ';', '1', '2', '9', '-', 'x')
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string(),
          fc.array(piece).map((all) => all.join('')),
        ),
        (text) => {
          expect(codeOf(text)).toMatch(/^(?:read|KERNEL_RESULT)$/)
        },
      ),
      { numRuns: 1000 },
    )
    expect(codeOf('a1:'.repeat(100_000))).toBe('KERNEL_STACK')
    expect(codeOf('a9999999999:')).toBe('KERNEL_RESULT')
  })
})
