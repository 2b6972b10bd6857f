import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { slotCount, slotOf, slotTag } from '../../src/redis/slots.ts'
import { cluster, raw } from '../fixtures/servers.ts'

describe('slotOf', () => {
  test('is the slot of the specification', () => {
    // CRC16 of "123456789" is 0x31C3.
    expect(slotOf('123456789')).toBe(0x31c3 % slotCount)
    expect(slotOf('')).toBe(0)
    expect(slotOf('{user1000}.following')).toBe(slotOf('user1000'))
    expect(slotOf('foo{}{bar}')).not.toBe(slotOf('bar'))
    expect(slotOf('foo{{bar}}zap')).toBe(slotOf('{bar'))
    expect(slotOf('foo{bar}{zap}')).toBe(slotOf('bar'))
  })

  test('agrees with a server on any key', async () => {
    const [node] = (await cluster()).nodes
    const key = fc.oneof(fc.string({ unit: 'binary' }), fc.string({ unit: fc.constantFrom('{', '}', 'a', 'é') }))
    await fc.assert(
      fc.asyncProperty(key, async (text) => {
        expect(slotOf(text)).toBe(node && (await raw(node, 'CLUSTER', 'KEYSLOT', text)))
        expect(slotOf(Buffer.from(text))).toBe(slotOf(text))
      }),
      { numRuns: 200 },
    )
  })
})

describe('slotTag', () => {
  test('puts a key into any slot', () => {
    for (let slot = 0; slot < slotCount; slot++) {
      const tag = slotTag(slot)
      expect(tag).toMatch(/^[a-z0-9]{1,4}$/)
      expect(slotOf(`gm:{${tag}}:x`)).toBe(slot)
    }
  })

  test('refuses what is no slot', () => {
    expect(() => slotTag(slotCount)).toThrow('16384')
  })
})
