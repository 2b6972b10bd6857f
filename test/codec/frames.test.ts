import { isDeepStrictEqual } from 'node:util'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type Batch, fromStrings, lengthOf, stringsOf, textOf, toRecords } from '../../src/codec/batch.ts'
import { decodeBatch, decodeRecords, encodeBatch, encodeRecords, packed } from '../../src/codec/frames.ts'
import { PlanError } from '../../src/errors.ts'

import { anything, number, wellFormed } from './arbitraries.ts'

function roundTrip(records: unknown[]): unknown[] {
  return decodeRecords(encodeRecords(records))
}

function travelled(record: unknown): unknown {
  return roundTrip([record])[0]
}

test('records arrive as structuredClone makes them', () => {
  fc.assert(
    fc.property(fc.array(anything, { maxLength: 5 }), (records) => {
      const expected = structuredClone(records)
      expect(isDeepStrictEqual(roundTrip(records), expected)).toBe(true)
    }),
    { numRuns: 300 },
  )
})

test('plain data arrives as it was', () => {
  const plain = fc.letrec<{ value: unknown }>((tie) => ({
    value: fc.oneof(
      { maxDepth: 4 },
      wellFormed,
      number,
      fc.constantFrom(null, undefined, true, false),
      fc.array(tie('value'), { maxLength: 20 }),
      fc.dictionary(fc.string(), tie('value'), { maxKeys: 80, noNullPrototype: true }),
    ),
  })).value
  fc.assert(
    fc.property(fc.array(plain, { maxLength: 10 }), (records) => {
      expect(isDeepStrictEqual(roundTrip(records), structuredClone(records))).toBe(true)
    }),
    { numRuns: 1000 },
  )
})

describe('columns', () => {
  test.each<[Batch['kind'], fc.Arbitrary<unknown>]>([
    ['text', wellFormed],
    ['numbers', number],
    ['counts', fc.record({ key: wellFormed, value: number }, { noNullPrototype: true })],
    ['pairs', fc.tuple(wellFormed, number)],
  ])('%s hold records of that shape, and give them back', (kind, record) => {
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 60 }), (records) => {
        const batch = packed(records)
        expect(batch.kind).toBe(kind)
        expect(lengthOf(batch)).toBe(records.length)
        expect(isDeepStrictEqual(toRecords(batch), records)).toBe(true)
        const decoded = decodeBatch(encodeBatch(batch))
        expect(decoded.kind).toBe(kind)
        expect(isDeepStrictEqual(toRecords(decoded), records)).toBe(true)
      }),
    )
  })

  test.each([
    ['another property', { key: 'a', value: 1, more: 2 }],
    ['another order', { value: 1, key: 'a' }],
    ['another type', { key: 1, value: 'a' }],
    ['a lone surrogate', { key: '\ud83d', value: 1 }],
    ['a longer tuple', ['a', 1, 2]],
    ['a tuple with a name', Object.assign(['a', 1], { index: 0 })],
    ['an inherited property', Object.assign(Object.create({ value: 1 }) as object, { key: 'a' })],
    ['text', 'a'],
    ['a number', 1],
    ['undefined', undefined],
  ])('are not used where one record has %s', (_, record) => {
    for (const first of ['a', 1, { key: 'a', value: 1 }, ['a', 1]]) {
      if (typeof first === typeof record && typeof first !== 'object') continue
      const records = [first, record]
      expect(packed(records).kind).toBe('records')
      expect(roundTrip(records)).toStrictEqual(structuredClone(records))
    }
  })

  test('text of a surrogate pair cut into two strings stays two lone surrogates', () => {
    expect(roundTrip(['\ud83d', '\ude00'])).toStrictEqual(['\ud83d', '\ude00'])
  })

  test('a column may be a part of another one', () => {
    const whole = fromStrings(['one', 'zwei', 'três', ''])
    if (whole.kind !== 'text') throw new TypeError('expected text')
    const part: Batch = { kind: 'text', bytes: whole.bytes, offsets: whole.offsets.subarray(1), length: 3 }
    expect(toRecords(decodeBatch(encodeBatch(part)))).toStrictEqual(['zwei', 'três', ''])
    expect(textOf(part, 1)).toBe('três')
  })

  test('bytes that are not UTF-8 become U+FFFD within their string, as TextDecoder has it', () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 8 }), { maxLength: 40 }), (texts) => {
        const offsets = new Uint32Array(texts.length + 1)
        texts.forEach((text, i) => (offsets[i + 1] = (offsets[i] as number) + text.length))
        const column = { bytes: Buffer.concat(texts), offsets, length: texts.length }
        const decoder = new TextDecoder('utf-8', { ignoreBOM: true })
        const expected = texts.map((text) => decoder.decode(text))
        expect(stringsOf(column)).toStrictEqual(expected)
        expect(texts.map((_, i) => textOf(column, i))).toStrictEqual(expected)
      }),
    )
  })
})

describe('what structured clone carries beyond plain data', () => {
  test('an invalid date', () => {
    expect((travelled({ at: new Date(Number.NaN) }) as { at: Date }).at.getTime()).toBeNaN()
  })

  test('an error with its name and stack', () => {
    const error = new TypeError('broken')
    const clone = travelled({ error }) as { error: Error }
    expect(clone.error).toBeInstanceOf(TypeError)
    expect(clone.error.message).toBe('broken')
    expect(clone.error.stack).toBe(error.stack)
  })

  test('cycles and shared references', () => {
    const shared = { a: 1 }
    const record: Record<string, unknown> = { one: shared, two: [shared] }
    record['self'] = record
    const clone = travelled(record) as { one: object; two: object[]; self: object }
    expect(clone.self).toBe(clone)
    expect(clone.two[0]).toBe(clone.one)
  })

  test('references shared by more objects than a short list holds', () => {
    const parts = Array.from({ length: 100 }, (_, i) => ({ i }))
    const clone = travelled({ parts, last: parts[99] }) as { parts: object[]; last: object }
    expect(clone.last).toBe(clone.parts[99])
  })

  test('views that share a buffer', () => {
    const buffer = new ArrayBuffer(16)
    const clone = travelled({ low: new Uint8Array(buffer, 0, 8), high: new Float64Array(buffer, 8), buffer }) as {
      low: Uint8Array
      high: Float64Array
      buffer: ArrayBuffer
    }
    expect(clone.low.buffer).toBe(clone.buffer)
    expect(clone.high.buffer).toBe(clone.buffer)
    expect([clone.low.length, clone.high.byteOffset, clone.high.length]).toStrictEqual([8, 8, 1])
  })

  test('every kind of view', () => {
    const views = [
      new DataView(Uint8Array.of(1, 2).buffer),
      Int8Array.of(-1),
      Uint8Array.of(1),
      Uint8ClampedArray.of(300),
      Int16Array.of(-2),
      Uint16Array.of(2),
      Int32Array.of(-3),
      Uint32Array.of(3),
      Float32Array.of(0.5),
      Float64Array.of(-0),
      BigInt64Array.of(-4n),
      BigUint64Array.of(4n),
    ]
    const clones = travelled(views) as ArrayBufferView[]
    expect(clones).toStrictEqual(views)
    expect(clones.map((view) => view.constructor)).toStrictEqual(views.map((view) => view.constructor))
  })

  test('a Buffer, as the Uint8Array of its bytes, without the pool it was cut from', () => {
    const clone = travelled({ bytes: Buffer.from('abc') }) as { bytes: Uint8Array }
    expect(Object.getPrototypeOf(clone.bytes)).toBe(Uint8Array.prototype)
    expect(clone.bytes).toStrictEqual(Uint8Array.of(97, 98, 99))
    expect(clone.bytes.buffer.byteLength).toBe(3)
    expect(encodeRecords([{ bytes: Buffer.from('abc') }]).length).toBeLessThan(100)
  })

  test('an instance of a class, as a plain object', () => {
    class Point {
      x = 1
      readonly #hidden = 2
      toJSON(): number {
        return this.#hidden
      }
    }
    expect(travelled(new Point())).toStrictEqual({ x: 1 })
    expect(travelled({ p: new Point() })).toStrictEqual({ p: { x: 1 } })
  })

  test('no instance of a class of the platform whose state cannot be seen', () => {
    class Page extends URL {}
    const url = new URL('http://host/path')
    for (const [record, path] of [
      [url, 'a record cannot'],
      [new Page(url), 'a record cannot'],
      [{ at: new Date(0), of: { url } }, "'record.of.url' cannot"],
      [new Map([['query', new URLSearchParams('a=1')]]), `'record.get("query")' cannot`],
      [[10n, new AbortController().signal], "'record[1]' cannot"],
    ] as const) {
      expect(() => encodeRecords([record])).toThrow(expect.objectContaining({ code: 'PLAN_RECORD' }))
      expect(() => encodeRecords([record])).toThrow(path)
    }
    // A class of the user's may have such a name.
    class Headers {
      readonly names = ['a']
    }
    expect(travelled({ headers: new Headers() })).toStrictEqual({ headers: { names: ['a'] } })
  })

  test('a property called __proto__, without touching a prototype', () => {
    const record: unknown = JSON.parse('{"__proto__": {"polluted": true}, "a": 1}')
    const clone = travelled(record) as object
    expect(Object.getPrototypeOf(clone)).toBe(Object.prototype)
    expect(JSON.stringify(clone)).toBe(JSON.stringify(record))
    expect('polluted' in {}).toBe(false)
  })

  test('the named properties of an array, and its holes', () => {
    const match = /(?<word>b)c/.exec('abc')
    expect(travelled({ match })).toStrictEqual({ match: structuredClone(match) })
    const sparse = [1, , 3] // eslint-disable-line no-sparse-arrays
    const both = Object.assign([1, , 3], { name: 1 }) // eslint-disable-line no-sparse-arrays
    expect(travelled({ both })).toStrictEqual({ both: structuredClone(both) })
    expect(1 in (travelled({ sparse }) as { sparse: number[] }).sparse).toBe(false)
  })

  test('whole numbers beyond 2^53 stay numbers', () => {
    const records = [{ n: 2 ** 53 + 2, m: -(2 ** 63), k: 2 ** 64 }]
    expect(roundTrip(records)).toStrictEqual(records)
  })

  test('objects of a thousand shapes', () => {
    const records = Array.from({ length: 1000 }, (_, i) => ({
      [`name${i}`]: i,
      [`other ${i % 7}`]: { [`deep${i}`]: null },
    }))
    expect(roundTrip(records)).toStrictEqual(records)
    expect(roundTrip(records)).toStrictEqual(records)
  })

  test('deep nesting', () => {
    let deep: unknown = 'end'
    for (let i = 0; i < 500; i++) deep = { deep }
    expect(isDeepStrictEqual(travelled(deep), deep)).toBe(true)
  })
})

describe('what it does not carry is PLAN_RECORD, with the path', () => {
  test.each<[string, unknown, string]>([
    [
      'a function',
      { user: { callbacks: [1, () => 1] } },
      "'record.user.callbacks[1]' cannot travel to another executor: it is a function",
    ],
    [
      'a named function',
      { parseInt },
      "'record.parseInt' cannot travel to another executor: it is the function parseInt",
    ],
    ['a symbol', Symbol('s'), 'a record cannot travel to another executor: it is a symbol'],
    ['a promise', [Promise.resolve()], "'record[0]' cannot travel to another executor: it is a live Promise"],
    ['a weak map', { in: new Map([['k', new WeakMap()]]) }, '\'record.in.get("k")\' cannot travel'],
    [
      'a proxy',
      { set: new Set([new Proxy({}, { get: () => () => 1 })]) },
      "'record.set.values()' cannot travel to another executor: it is a Proxy",
    ],
    [
      'shared memory',
      { memory: new SharedArrayBuffer(8) },
      "'record.memory' cannot travel to another executor: it is a live SharedArrayBuffer",
    ],
    ['a port', { port: new MessageChannel().port1 }, "'record.port' cannot travel"],
  ])('%s', (_, record, message) => {
    const encode = (): unknown => encodeRecords(['fine', { also: 'fine' }, record])
    expect(encode).toThrow(PlanError)
    expect(encode).toThrow(expect.objectContaining({ code: 'PLAN_RECORD', message: expect.stringContaining(message) }))
  })

  test('a part of a cycle', () => {
    const record: Record<string, unknown> = { list: [] }
    record['self'] = record
    ;(record['list'] as unknown[]).push(record, () => 1)
    expect(() => encodeRecords([record])).toThrow("'record.list[1]' cannot travel")
  })

  test('nesting beyond the stack', () => {
    let deep: unknown = 'end'
    for (let i = 0; i < 200_000; i++) deep = { deep }
    expect(() => encodeRecords([deep])).toThrow(expect.objectContaining({ code: 'PLAN_RECORD' }))
  })

  test('what a getter throws is thrown as it is', () => {
    const thrown = new RangeError('mine')
    const record = {
      get bad(): number {
        throw thrown
      },
    }
    expect(() => encodeRecords([record])).toThrow(thrown)
  })
})

test('frames can be read out of the middle of other bytes', () => {
  for (const records of [['a', 'bc'], [1, 2.5], [{ key: 'k', value: 70_000 }], [{ a: [1] }], [10n]]) {
    const frame = encodeRecords(records)
    for (let offset = 0; offset < 9; offset++) {
      const around = new Uint8Array(frame.length + 20)
      around.set(frame, offset)
      expect(decodeRecords(around.subarray(offset, offset + frame.length))).toStrictEqual(records)
    }
  }
})

test('a clone by a later version of V8 is refused, with what to do', () => {
  const frame = Uint8Array.from(encodeRecords([1n]))
  expect(frame[1]).toBe(0xff)
  frame[2] = 99
  expect(() => decodeRecords(frame)).toThrow(
    expect.objectContaining({ code: 'EXECUTION_BLOCK_LOST', hint: expect.stringContaining('Node.js') }),
  )
})

test('a frame of an unknown kind is refused', () => {
  expect(() => decodeBatch(Uint8Array.of(99, 1, 2))).toThrow(expect.objectContaining({ code: 'EXECUTION_BLOCK_LOST' }))
})

test.each(['x', 'é', '\ud800'])('strings over 64 KB (%j)', (unit) => {
  const long = unit.repeat(70_000)
  const records = [[long], [{ long }], [{ key: long, value: 1 }], [long, 1]]
  for (const some of records) expect(isDeepStrictEqual(roundTrip(some), some)).toBe(true)
})

test('no records', () => {
  expect(roundTrip([])).toStrictEqual([])
})
