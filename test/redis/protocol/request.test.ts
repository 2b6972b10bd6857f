// Commands are written as the protocol defines them, whatever their arguments are.
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type RequestArgument, encodeRequest } from '../../../src/redis/protocol/request.ts'

function written(args: readonly RequestArgument[], more?: number): string {
  const pieces: Buffer[] = []
  encodeRequest(args, (piece) => pieces.push(Buffer.from(piece)), more)
  return Buffer.concat(pieces).toString('latin1')
}

function defined(args: readonly RequestArgument[], more = 0): string {
  const parts = args.map((arg) => {
    const bytes = Buffer.from(arg)
    return `$${bytes.length}\r\n${bytes.toString('latin1')}\r\n`
  })
  return `*${args.length + more}\r\n${parts.join('')}`
}

describe('encodeRequest()', () => {
  it('writes any arguments', () => {
    const long = fc.integer({ min: 60, max: 70 }).map((length) => 'é'.repeat(length))
    const bytes = fc.uint8Array({ maxLength: 80 }).map((array) => Buffer.from(array))
    const argument = fc.oneof<fc.Arbitrary<RequestArgument>[]>(fc.string({ unit: 'binary' }), long, bytes)
    fc.assert(
      fc.property(fc.array(argument, { minLength: 1 }), fc.nat(3), (args, more) => {
        expect(written(args, more)).toBe(defined(args, more))
      }),
    )
  })

  it('refuses what the protocol has no word for', () => {
    expect(() => written([])).toThrow(/name of a command/)
    expect(() => written(['GET', 1 as unknown as string])).toThrow(/got number/)
  })
})
