import { constants } from 'node:buffer'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { BulkColumn } from '../../../src/redis/protocol/column.ts'
import {
  ErrorReply,
  ProtocolError,
  ReplyReader,
  type Decoding,
  type Value,
} from '../../../src/redis/protocol/reader.ts'

const text: Decoding = { bulk: 'text', map: 'map', big: 'text' }
const bytes: Decoding = { bulk: 'bytes', map: 'flat', big: 'text' }
const column: Decoding = { bulk: 'column', map: 'map', big: 'text' }
const plain: Decoding = { bulk: 'text', map: 'object', big: 'bigint' }

/** The replies in some bytes, which arrive cut at some places. */
function read(wire: Buffer, decoding: Decoding, cuts: readonly number[] = []): Value[] {
  const replies: Value[] = []
  const reader = new ReplyReader({ begin: () => decoding, reply: (value) => replies.push(value) })
  const places = [...new Set(cuts.map((cut) => cut % (wire.length + 1)))].sort((a, b) => a - b)
  // Each chunk is memory of its own, as a socket gives it.
  for (const [i, from] of [0, ...places].entries()) {
    reader.push(Buffer.from(wire.subarray(from, places[i] ?? wire.length)))
  }
  return replies
}

const bulk = (item: string | Buffer | null): Buffer => {
  if (item === null) return Buffer.from('_\r\n')
  const content = Buffer.from(item)
  return Buffer.concat([Buffer.from(`$${content.length}\r\n`), content, Buffer.from('\r\n')])
}

const list = (items: readonly Buffer[], type = '*'): Buffer =>
  Buffer.concat([Buffer.from(`${type}${type === '%' ? items.length / 2 : items.length}\r\n`), ...items])

test('every type of both protocol versions', () => {
  const wire = Buffer.from(
    '+OK\r\n:42\r\n:-7\r\n$-1\r\n*-1\r\n_\r\n#t\r\n#f\r\n,1.5\r\n,inf\r\n,-inf\r\n(12345678901234567890\r\n=7\r\ntxt:abc\r\n' +
      '$5\r\nhello\r\n$0\r\n\r\n*0\r\n~2\r\n:1\r\n:2\r\n%1\r\n+a\r\n:1\r\n*2\r\n*1\r\n:1\r\n*2\r\n$1\r\nx\r\n:2\r\n',
  )
  const values = ['OK', 42, -7, null, null, null, true, false, 1.5, Infinity, -Infinity, '12345678901234567890', 'abc']
  const nested = [[1], ['x', 2]]
  expect(read(wire, text)).toEqual([...values, 'hello', '', [], [1, 2], new Map([['a', 1]]), nested])
  expect(read(wire, bytes).slice(13)).toEqual([
    Buffer.from('hello'),
    Buffer.alloc(0),
    [],
    [1, 2],
    ['a', 1],
    [[1], [Buffer.from('x'), 2]],
  ])
  const asPlain = read(wire, plain)
  expect(asPlain[11]).toBe(12345678901234567890n)
  expect(asPlain[17]).toEqual({ a: 1 })
  const [odd] = read(list([bulk('__proto__'), bulk('x')], '%'), plain)
  expect(odd).toStrictEqual(Object.fromEntries([['__proto__', 'x']]))
})

test('errors are values of their own, inside of arrays too', () => {
  const [error, array] = read(Buffer.from('-ERR no\r\n*2\r\n!5\r\nBAD x\r\n:1\r\n'), text)
  expect(error).toBeInstanceOf(ErrorReply)
  expect(error).toMatchObject({ message: 'ERR no' })
  expect(array).toMatchObject([{ message: 'BAD x' }, 1])
})

test('pushes and attributes answer nothing', () => {
  const wire = Buffer.from('>2\r\n+invalidate\r\n*1\r\n$1\r\na\r\n+one\r\n|1\r\n+ttl\r\n:3\r\n+two\r\n>0\r\n+three\r\n')
  for (const decoding of [text, column]) {
    for (let cut = 0; cut < wire.length; cut++) expect(read(wire, decoding, [cut])).toEqual(['one', 'two', 'three'])
  }
})

const items = fc.array(fc.oneof(fc.string(), fc.constant('x'.repeat(300)), fc.constant(null)), { maxLength: 20 })
const cuts = fc.array(fc.nat(), { maxLength: 12 })

/** What a column stands for. */
function opened(value: Value): unknown {
  if (value instanceof BulkColumn) return value.items()
  if (value instanceof Map) return new Map([...value].map(([name, item]) => [name, opened(item as Value)]))
  return Array.isArray(value) ? value.map((item) => opened(item as Value)) : value
}

describe('wherever the bytes are cut', () => {
  test('text, bytes and columns say the same', () => {
    fc.assert(
      fc.property(fc.array(items, { maxLength: 4 }), cuts, (lists, places) => {
        const replies = lists.map((each) => list(each.map(bulk)))
        // As SCAN answers: a cursor, then a list.
        const scans = lists.map((each) => list([bulk('17'), list(each.map(bulk))]))
        const mixed = lists.map((each) => list([...each.map(bulk), Buffer.from(':1\r\n'), ...each.map(bulk)]))
        const wire = Buffer.concat([...replies, ...scans, ...mixed])
        const expected = [...lists, ...lists.map((each) => ['17', each]), ...lists.map((each) => [...each, 1, ...each])]
        expect(read(wire, text, places)).toEqual(expected)
        expect(read(wire, column, places).map(opened)).toEqual(expected)
        const asText = (value: unknown): unknown =>
          Buffer.isBuffer(value) ? value.toString() : Array.isArray(value) ? value.map(asText) : value
        expect(asText(read(wire, bytes, places))).toEqual(expected)
      }),
      { numRuns: 50 },
    )
  })

  test('maps', () => {
    fc.assert(
      fc.property(fc.uniqueArray(fc.string(), { maxLength: 8 }), cuts, (names, places) => {
        const wire = list(
          names.flatMap((name, i) => [bulk(name), Buffer.from(`:${i}\r\n`)]),
          '%',
        )
        expect(read(wire, text, places)).toEqual([new Map(names.map((name, i) => [name, i]))])
      }),
    )
  })
})

test('every type, at every cut', () => {
  const inner = [
    '+s\r\n',
    ':-1\r\n',
    '_\r\n',
    '#t\r\n',
    ',nan\r\n',
    ',-1e-7\r\n',
    '(-9\r\n',
    '=7\r\nmkd:abc\r\n',
    '!4\r\nE no\r\n',
  ]
  const parts = [
    ...inner,
    '$3\r\na\r\n\r\n',
    '%1\r\n$1\r\nk\r\n*1\r\n$-1\r\n',
    '~1\r\n:2\r\n',
    '|1\r\n+ttl\r\n*1\r\n:3\r\n*0\r\n',
    '%0\r\n',
  ]
  const wire = Buffer.from(`${parts.join('')}*14\r\n${parts.join('')}>1\r\n+x\r\n+end\r\n`)
  for (const decoding of [text, bytes, column, plain]) {
    const whole = read(wire, decoding)
    expect(whole).toHaveLength(16)
    expect(whole[4]).toBeNaN()
    expect(whole[8]).toBeInstanceOf(ErrorReply)
    expect(opened(whole[14] as Value)).toEqual(whole.slice(0, 14).map((value) => opened(value)))
    for (let cut = 1; cut < wire.length; cut++) expect(read(wire, decoding, [cut])).toEqual(whole)
    expect(
      read(
        wire,
        decoding,
        Array.from({ length: wire.length }, (_, i) => i),
      ),
    ).toEqual(whole)
  }
})

test('what is no reply is refused at once, in aggregates too', () => {
  for (const decoding of [text, bytes, column, plain]) {
    for (const bad of ['HTTP', '\r\n', '$x\r\n', '$\r\n', ':1a\r\n', '*4294967296\r\n', '$1a\r\nx\r\n']) {
      for (const head of ['', '*2\r\n', '*2\r\n$1\r\na\r\n', '%1\r\n+a\r\n']) {
        expect(() => read(Buffer.from(head + bad), decoding)).toThrow(ProtocolError)
      }
    }
  }
})

test('a text longer than texts can be is an error of its command only', () => {
  const replies: Value[] = []
  const reader = new ReplyReader({ begin: () => text, reply: (value) => replies.push(value) })
  const length = constants.MAX_STRING_LENGTH + 1
  const head = `$${length}\r\n`
  // Zeros that nobody reads take no memory.
  const wire = Buffer.alloc(head.length + length + 9)
  wire.write(head)
  wire.write('\r\n+next\r\n', head.length + length)
  reader.push(wire)
  expect(replies).toEqual([expect.any(ErrorReply), 'next'])
})
