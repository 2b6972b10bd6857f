import fc from 'fast-check'
import { expect, test } from 'vitest'
import { inPieces } from '../../../../src/pipeline/readers/text/pieces.ts'

const decode = (bytes: Buffer, from: number, to: number): string => bytes.toString('utf8', from, to)

test('texts are what each would be alone, in whatever order they are asked for', () => {
  const text = fc.oneof(
    fc.string({ unit: 'binary-ascii' }),
    fc.string({ unit: 'binary' }),
    fc.constant('x'.repeat(700)),
  )
  const buffers = fc.array(
    fc.array(text, { maxLength: 30 }).map((texts) => Buffer.from(texts.join(''))),
    { minLength: 1 },
  )
  const asked = fc.array(fc.tuple(fc.nat(), fc.nat(), fc.nat(3000)), { maxLength: 60 })
  fc.assert(
    fc.property(buffers, asked, (all, ranges) => {
      const cut = inPieces(decode)
      for (const [which, start, length] of ranges) {
        const bytes = all[which % all.length] as Buffer
        const from = start % (bytes.length + 1)
        const to = Math.min(bytes.length, from + length)
        expect(cut(bytes, from, to)).toBe(decode(bytes, from, to))
      }
    }),
  )
})

test('neighbours are decoded together', () => {
  const bytes = Buffer.from('0123456789'.repeat(300))
  let calls = 0
  const cut = inPieces((...range) => {
    calls++
    return decode(...range)
  })
  let read = ''
  for (let at = 0; at < bytes.length; at += 10) read += cut(bytes, at, at + 10)
  expect(read).toBe(bytes.toString())
  expect(calls).toBe(0)
  expect(cut(bytes, 0, 2000)).toBe(bytes.toString('utf8', 0, 2000))
  expect(calls).toBe(1)
})
