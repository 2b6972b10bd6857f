// Netstrings give back what was put into them, whatever the bytes.
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { decodeNetstrings, encodeNetstrings } from '../../src/codec/netstrings.ts'

it('netstrings give back the parts that they were made of', () => {
  expect(encodeNetstrings([Buffer.from('a:1'), Buffer.alloc(0)]).toString()).toBe('3:a:10:')
  fc.assert(
    fc.property(fc.array(fc.uint8Array()), (parts) => {
      const decoded = decodeNetstrings(encodeNetstrings(parts))
      expect(decoded.map((part) => new Uint8Array(part))).toEqual(parts)
    }),
  )
})
