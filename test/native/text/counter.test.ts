import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { hashBytes, partitionOf } from '../../../src/codec/hash.ts'
import type { Counter, Drained } from '../../../src/native/text/counter.ts'
import { TextKernel } from '../../../src/native/text/kernel.ts'
import type { TokenOptions } from '../../../src/native/text/tokens.ts'
import { columnOf, countsOf, damaged, decode, plainText, text, textColumn, textsOf } from './texts.ts'

const kernel = TextKernel.create()

function countsIn(drained: Drained): Map<string, number> {
  const counts = new Map(drained.apart)
  let listed = drained.apart.length
  for (const { keys, values } of drained.partitions) {
    textsOf(keys).forEach((key, i) => counts.set(key, values[i] as number))
    listed += keys.length
  }
  expect(counts.size).toBe(listed)
  return counts
}

function counted(options: TokenOptions, add: (counter: Counter) => void): Map<string, number> {
  const counter = kernel.counter(options)
  try {
    add(counter)
    const { size, tokens } = counter
    const counts = countsIn(counter.drain({ partitions: 3 }))
    expect(size).toBe(counts.size)
    expect(tokens).toBe([...counts.values()].reduce((sum, count) => sum + count, 0))
    expect(counter.size).toBe(0)
    expect(counter.tokens).toBe(0)
    return counts
  } finally {
    counter.close()
  }
}

const separators = [' ', ',', 'a', 'A', 'aa', ', ', 'é', 'É', 'Σ', 'σ', '.', '→', '\ufffd', '\u0307']
const allTokens: TokenOptions['tokens'][] = ['none', 'words', ...separators.map((split) => ({ split }))]
const allOptions = allTokens.flatMap((tokens): TokenOptions[] => [
  { tokens },
  { tokens, lower: 'before' },
  { tokens, lower: 'after' },
])
const options = fc.constantFrom(...allOptions)

function tokensOf(value: string, { tokens, lower }: TokenOptions): string[] {
  const whole = lower === 'before' ? value.toLowerCase() : value
  const parts =
    tokens === 'none' ? [whole] : tokens === 'words' ? (whole.match(/\S+/g) ?? []) : whole.split(tokens.split)
  return lower === 'after' ? parts.map((part) => part.toLowerCase()) : parts
}

describe('a counter', () => {
  it('counts the tokens of columns as JavaScript does', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, plainText)), options, (texts, how) => {
        const expected = countsOf(texts.flatMap((value) => tokensOf(value, how)))
        expect(counted(how, (counter) => counter.addColumn(textColumn(texts)))).toEqual(expected)
      }),
      { numRuns: 400 },
    )
  })

  it('counts the tokens of bytes that are not UTF-8 as those of what TextDecoder makes of them', () => {
    fc.assert(
      fc.property(fc.array(damaged, { maxLength: 8 }), options, (values, how) => {
        const expected = countsOf(values.flatMap((value) => tokensOf(decode(value), how)))
        expect(counted(how, (counter) => counter.addColumn(columnOf(values)))).toEqual(expected)
      }),
      { numRuns: 300 },
    )
  })

  it('counts the tokens of strings, lone surrogates included', () => {
    const anyString = fc.oneof(
      text,
      plainText,
      fc.string({ unit: 'binary' }),
      fc.constantFrom('\ud83d', 'a \udf89 b', '\ud83d\ude00', '\ud83d \ud83d'),
    )
    fc.assert(
      fc.property(fc.array(anyString), options, (texts, how) => {
        const expected = countsOf(texts.flatMap((value) => tokensOf(value, how)))
        expect(counted(how, (counter) => counter.addStrings(texts))).toEqual(expected)
      }),
      { numRuns: 400 },
    )
  })

  it('does so for all ways to make tokens', () => {
    const texts = [
      '',
      '',
      'aAaA',
      'Aa, B',
      'ÉéÉ',
      'ΑΣ',
      'ΑΣ.Β ΣΣ',
      'σΣ',
      'İ\u0307',
      '\ufffd→',
      'K, Ⱥ',
      '\ud83d A',
      '🎉 𐐀',
    ]
    for (const how of allOptions) {
      for (const [first, last] of [
        [0, 4],
        [2, 5],
        [4, 9],
        [0, texts.length],
      ]) {
        const some = texts.slice(first, last)
        const expected = countsOf(some.flatMap((value) => tokensOf(value, how)))
        expect(counted(how, (counter) => counter.addStrings(some))).toEqual(expected)
        const formed = some.filter((value) => value.isWellFormed())
        expect(counted(how, (counter) => counter.addColumn(textColumn(formed)))).toEqual(
          countsOf(formed.flatMap((value) => tokensOf(value, how))),
        )
      }
    }
  })

  it('does not join the halves of a surrogate pair that are two strings', () => {
    const counts = counted({ tokens: 'none' }, (counter) => counter.addStrings(['\ud83d', '\ude00', 'a']))
    expect(counts).toEqual(countsOf(['\ud83d', '\ude00', 'a']))
  })

  it('only counts, where no keys are wanted', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, fc.constant('\ud83d \ud83d'))), options, (texts, how) => {
        const counter = kernel.counter({ ...how, keys: false })
        counter.addStrings(texts)
        counter.merge(textColumn(['a', 'b']), Float64Array.of(2, 5))
        expect(counter.tokens).toBe(texts.flatMap((value) => tokensOf(value, how)).length + 7)
        expect(counter.size).toBe(0)
        expect(countsIn(counter.drain({ partitions: 2, sorted: true })).size).toBe(0)
        expect(counter.top(3).keys.length).toBe(0)
        counter.close()
      }),
    )
  })

  it('grows past many keys, short and long', () => {
    const texts = Array.from({ length: 60_000 }, (_, i) => `${i} ${i % 100} key-that-is-longer-than-sixteen-bytes-${i}`)
    const expected = countsOf(texts.flatMap((value) => value.split(' ')))
    const counts = counted({ tokens: { split: ' ' } }, (counter) => counter.addStrings(texts))
    expect(counts.size).toBe(expected.size)
    expect(counts).toEqual(expected)
  })

  it('tells keys apart whose hashes are the same', () => {
    // Of so many keys about ten pairs share their 32-bit hash.
    const numbers = Array.from({ length: 300_000 }, (_, i) => String(i).padStart(8, '0'))
    for (const suffix of ['', '-and-more-than-16-bytes']) {
      const counter = kernel.counter({ tokens: 'none' })
      counter.addStrings(numbers.map((number) => number + suffix))
      expect(counter.size).toBe(numbers.length)
      counter.close()
    }
  })

  it('tells keys with trailing NULs apart', () => {
    const texts = ['a', 'a\0', 'a\0\0', '', '\0', 'a\0'.repeat(8), 'a\0'.repeat(9)]
    expect(counted({ tokens: 'none' }, (counter) => counter.addColumn(textColumn(texts)))).toEqual(countsOf(texts))
  })
})

describe('drain', () => {
  it('divides keys as the hash of the codec does', () => {
    fc.assert(
      fc.property(fc.array(text), fc.integer({ min: 1, max: 40 }), (texts, partitions) => {
        const counter = kernel.counter({ tokens: 'none' })
        counter.addStrings(texts)
        const drained = counter.drain({ partitions })
        counter.close()
        expect(drained.partitions.length).toBe(partitions)
        drained.partitions.forEach(({ keys }, partition) => {
          for (let i = 0; i < keys.length; i++) {
            const hash = hashBytes(keys.bytes, keys.offsets[i], keys.offsets[i + 1])
            expect(partitionOf(hash, partitions)).toBe(partition)
          }
        })
        expect(countsIn(drained)).toEqual(countsOf(texts))
      }),
    )
  })

  it('sorts keys as JavaScript sorts strings', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, fc.string({ unit: 'grapheme', maxLength: 3 }))), (texts) => {
        const counter = kernel.counter({ tokens: 'none' })
        counter.addStrings(texts.concat('\u{1f600}', '\ue000', '\uffee', '\ud7ff'))
        const [only] = counter.drain({ sorted: true }).partitions
        counter.close()
        const keys = textsOf((only as { keys: ReturnType<typeof textColumn> }).keys)
        expect(keys).toEqual([...keys].sort())
      }),
      { numRuns: 300 },
    )
  })

  it('gives what merge takes, with any weights', () => {
    const weights = fc.dictionary(fc.string({ unit: 'grapheme', maxLength: 20 }), fc.integer({ min: -9, max: 1e9 }))
    fc.assert(
      fc.property(fc.array(weights, { maxLength: 5 }), (tables) => {
        const counter = kernel.counter({ tokens: { split: ' ' } })
        const expected = new Map<string, number>()
        for (const table of tables) {
          counter.merge(textColumn(Object.keys(table)), Float64Array.from(Object.values(table)))
          for (const [key, value] of Object.entries(table)) expected.set(key, (expected.get(key) ?? 0) + value)
        }
        const drained = counter.drain({ partitions: 2 })
        for (const { keys, values } of drained.partitions) counter.merge(keys, values)
        expect(countsIn(counter.drain())).toEqual(expected)
        counter.close()
      }),
    )
  })

  it('gives counts of any size, of keys of any length', () => {
    const key = fc.constantFrom(
      '',
      'a',
      'b',
      'a\0',
      '\0',
      'twelve bytes',
      'éééééé',
      '13 bytes here',
      'x'.repeat(16),
      'y'.repeat(17),
    )
    const weight = fc.constantFrom(1, 2, 0, 0.5, -1, 2 ** 31, 2 ** 32 - 3, 2 ** 32 - 2, 2 ** 32 - 1, 2 ** 32, 2 ** 40)
    // No weight: as a token.
    const steps = fc.array(fc.tuple(key, fc.option(weight, { nil: undefined })), { maxLength: 30 })
    fc.assert(
      fc.property(steps, fc.integer({ min: 1, max: 12 }), (added, k) => {
        const counter = kernel.counter({ tokens: 'none' })
        const expected = new Map<string, number>()
        for (const [name, times] of added) {
          if (times === undefined) counter.addColumn(textColumn([name]))
          else counter.merge(textColumn([name]), Float64Array.of(times))
          expected.set(name, (expected.get(name) ?? 0) + (times ?? 1))
        }
        expect(counter.size).toBe(expected.size)
        const { keys, values } = counter.top(k)
        const highest = [...expected].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, k)
        expect(textsOf(keys).map((name, i) => [name, values[i]])).toEqual(highest)
        const drained = counter.drain({ partitions: 3, sorted: true })
        for (const part of drained.partitions) expect(textsOf(part.keys)).toEqual(textsOf(part.keys).sort())
        expect(countsIn(drained)).toEqual(expected)
        counter.close()
      }),
      { numRuns: 300 },
    )
  })

  it('gives lone surrogates apart, and merges them one by one', () => {
    const counter = kernel.counter({ tokens: 'words' })
    counter.addStrings(['a \ud83d', 'b \ud83d'])
    const { partitions, apart } = counter.drain()
    expect(apart).toEqual([['\ud83d', 2]])
    for (const { keys, values } of partitions) counter.merge(keys, values)
    for (const [key, value] of [...apart, ['b', 4] as const]) counter.mergeApart(key, value)
    expect(countsIn(counter.drain())).toEqual(
      new Map([
        ['\ud83d', 2],
        ['a', 1],
        ['b', 5],
      ]),
    )
    counter.close()
  })

  it('merges more keys than a block has', () => {
    const keys = Array.from({ length: 50_000 }, (_, i) => `key ${i}`)
    const counter = kernel.counter({ tokens: { split: ' ' } })
    for (let round = 0; round < 2; round++) {
      counter.merge(
        textColumn(keys),
        Float64Array.from(keys, (_, i) => i),
      )
    }
    expect(countsIn(counter.drain())).toEqual(new Map(keys.map((key, i) => [key, 2 * i])))
    counter.close()
  })

  it('says how large it is', () => {
    const counter = kernel.counter({ tokens: 'words' })
    counter.addStrings(['one two three'])
    expect(counter.drainBytes).toBeGreaterThanOrEqual('onetwothree'.length + 3 * 12)
    expect(counter.bytes).toBeGreaterThan(0)
    counter.close()
  })
})

describe('top', () => {
  it('lists the highest counts, equal ones by key', () => {
    fc.assert(
      fc.property(fc.array(fc.nat({ max: 60 })), fc.integer({ min: 1, max: 20 }), (numbers, k) => {
        const texts = numbers.map((n) => `n${n % 37}`)
        const counter = kernel.counter({ tokens: 'none' })
        counter.addStrings(texts)
        const { keys, values } = counter.top(k)
        const expected = [...countsOf(texts)].sort((a, b) => b[1] - a[1] || (a[0] < b[0] ? -1 : 1)).slice(0, k)
        expect(textsOf(keys).map((key, i) => [key, values[i]])).toEqual(expected)
        counter.close()
      }),
    )
  })
})
