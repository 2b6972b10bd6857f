import fc from 'fast-check'
import { expect, test } from 'vitest'
import { BulkColumn, type Item } from '../../../src/redis/protocol/column.ts'
import { encodeRequest, type RequestArgument } from '../../../src/redis/protocol/request.ts'

const item = fc.oneof(
  fc.string({ unit: 'binary' }),
  fc.string(),
  fc.uint8Array().map((bytes) => Buffer.from(bytes)),
  fc.constant('y'.repeat(2000)),
)

/** Text where it is UTF-8, else bytes. */
function normal(value: string | Buffer): Item {
  const bytes = Buffer.from(value)
  const text = bytes.toString()
  return Buffer.from(text).equals(bytes) ? text : bytes
}

function request(args: readonly RequestArgument[]): Buffer {
  const pieces: Buffer[] = []
  encodeRequest(args, (piece) => pieces.push(Buffer.from(piece)))
  return Buffer.concat(pieces)
}

test('gives its items, whole and in parts', () => {
  fc.assert(
    fc.property(fc.array(item), fc.nat(), fc.nat(), (values, a, b) => {
      const column = BulkColumn.of(values)
      expect(column.items()).toEqual(values.map(normal))
      const from = values.length === 0 ? 0 : a % values.length
      const to = from + (b % (values.length - from + 1))
      expect(column.slice(from, to).items()).toEqual(values.slice(from, to).map(normal))
      const odd = values.flatMap((_, i) => (i % 2 === 1 ? [i] : []))
      expect(column.select(odd).items()).toEqual(odd.map((i) => normal(values[i] as string)))
    }),
  )
})

test('gives some of its items, and those as a part of a request', () => {
  fc.assert(
    fc.property(fc.array(fc.tuple(item, fc.boolean())), (pairs) => {
      const column = BulkColumn.of(pairs.map(([value]) => value))
      const chosen = pairs.flatMap(([, is], i) => (is ? [i] : []))
      const values = chosen.map((i) => (pairs[i] as [string | Buffer, boolean])[0])
      const selected = column.select(chosen)
      expect(selected.items()).toEqual(values.map(normal))
      expect(selected.encoded).toEqual(BulkColumn.of(values).encoded)
    }),
  )
})

test('is a part of a request as it is', () => {
  fc.assert(
    fc.property(fc.array(item, { minLength: 1 }), fc.nat(), (values, a) => {
      const from = a % values.length
      const pieces: Buffer[] = []
      const column = BulkColumn.of(values).slice(from, values.length)
      encodeRequest(['MGET'], (piece) => pieces.push(Buffer.from(piece)), column.length)
      expect(Buffer.concat([...pieces, column.encoded])).toEqual(request(['MGET', ...values.slice(from)]))
    }),
  )
})

test('what is no text and no bytes is no argument', () => {
  const odd: unknown = 1
  expect(() => request(['GET', odd as string])).toThrow(TypeError)
})
