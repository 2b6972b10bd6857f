import fc from 'fast-check'
import { expect, test } from 'vitest'
import { ArgumentWriter, type EncodedArguments } from '../../../src/redis/protocol/arguments.ts'
import { encodeRequest } from '../../../src/redis/protocol/request.ts'

const argument = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 40 }),
  fc.uint8Array({ maxLength: 100 }),
  fc.integer({ min: 0, max: 100_000 }).map((size) => 'x'.repeat(size)),
)

/** What the encoder of requests makes of the same arguments. */
function encodedPlainly(args: readonly (string | Uint8Array)[]): Buffer {
  const pieces: Buffer[] = []
  encodeRequest(
    ['', ...args.map((arg) => (typeof arg === 'string' ? arg : Buffer.from(arg)))],
    (piece) => void pieces.push(typeof piece === 'string' ? Buffer.from(piece) : piece),
  )
  const head = `*${args.length + 1}\r\n$0\r\n\r\n`.length
  return Buffer.concat(pieces).subarray(head)
}

test('arguments are written as requests have them, and what was taken stays as it is', () => {
  fc.assert(
    fc.property(fc.array(fc.array(argument, { maxLength: 20 }), { maxLength: 5 }), (groups) => {
      const writer = new ArgumentWriter()
      const taken: EncodedArguments[] = []
      for (const group of groups) {
        for (const arg of group) writer.add(arg)
        expect(writer.length).toBe(group.length)
        const { bytes } = writer
        taken.push(writer.take())
        expect(taken.at(-1)?.encoded.length).toBe(bytes)
      }
      for (const [i, group] of groups.entries()) {
        expect(taken[i]?.length).toBe(group.length)
        expect(taken[i]?.encoded.equals(encodedPlainly(group))).toBe(true)
      }
    }),
  )
})

test('a part of some bytes is an argument', () => {
  const writer = new ArgumentWriter()
  const bytes = Buffer.from(`ab${'c'.repeat(50)}`)
  writer.addBytes(bytes, 1, 2)
  writer.addBytes(bytes, 2, 52)
  writer.addBytes(bytes, 3, 3)
  expect(writer.take().encoded.toString()).toBe(`$1\r\nb\r\n$50\r\n${'c'.repeat(50)}\r\n$0\r\n\r\n`)
})
