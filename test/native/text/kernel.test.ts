import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { TextKernel } from '../../../src/native/text/kernel.ts'
import { isColumnSeparator } from '../../../src/native/text/tokens.ts'
import { bytesOf, columnOf, damaged, decode, plainText, text, textColumn, textsOf } from './texts.ts'

const kernel = TextKernel.create()
const separator = fc.oneof(
  fc.constantFrom(' ', ',', 'a', ', ', 'aa', 'é', '→', '\ufffd', '\ufeff', '🎉', 'A', 'lorem', '\0', 'x'.repeat(80)),
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 3 }).filter(isColumnSeparator),
)

describe('operations on columns', () => {
  it('split as String.split does', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, plainText)), separator, (texts, by) => {
        expect(textsOf(kernel.split(textColumn(texts), by))).toEqual(texts.flatMap((value) => value.split(by)))
      }),
      { numRuns: 400 },
    )
  })

  it('split keeps empty strings, also around and between separators', () => {
    expect(textsOf(kernel.split(textColumn(['', ',', ',a,,b,']), ','))).toEqual(['', '', '', '', 'a', '', 'b', ''])
    expect(textsOf(kernel.split(textColumn(['aaaaa']), 'aa'))).toEqual(['', '', 'a'])
  })

  it('cut words at what \\s matches', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, plainText)), (texts) => {
        const words = texts.flatMap((value) => value.match(/\S+/g) ?? [])
        expect(textsOf(kernel.words(textColumn(texts)))).toEqual(words)
      }),
      { numRuns: 400 },
    )
  })

  it('know every blank of Unicode, at every place of a block', () => {
    for (let code = 0; code <= 0xffff; code++) {
      if (code >= 0xd800 && code <= 0xdfff) continue
      const value = `a${String.fromCharCode(code)}b`
      if (!/\s/.test(value) && code % 61 !== 0) continue
      const texts = [value, 'x'.repeat(61) + value, 'x'.repeat(62) + value, 'x'.repeat(63) + value]
      expect(textsOf(kernel.words(textColumn(texts)))).toEqual(texts.flatMap((t) => t.match(/\S+/g) ?? []))
    }
  })

  it('lower-case as String.toLowerCase does', () => {
    fc.assert(
      fc.property(fc.array(fc.oneof(text, plainText)), (texts) => {
        expect(textsOf(kernel.lower(textColumn(texts)))).toEqual(texts.map((value) => value.toLowerCase()))
      }),
      { numRuns: 400 },
    )
  })

  it('lower-case every character of Unicode', () => {
    const characters: string[] = []
    for (let code = 0; code <= 0x10ffff; code++) {
      if (code < 0xd800 || code > 0xdfff) characters.push(String.fromCodePoint(code))
    }
    for (let from = 0; from < characters.length; from += 1 << 16) {
      const some = characters.slice(from, from + (1 << 16))
      const { bytes } = kernel.lower(textColumn(some))
      expect(Buffer.from(bytes).equals(bytesOf(some.map((value) => value.toLowerCase()).join('')))).toBe(true)
    }
  })

  it('lower-case to no character that could be a separator without a case', () => {
    for (let code = 0; code <= 0xffff; code++) {
      const character = String.fromCharCode(code)
      const lower = character.toLowerCase()
      if (lower.length > 1 || lower === character) continue
      expect(lower.toUpperCase()).not.toBe(lower)
    }
  })

  it('replace bytes that are not UTF-8 as TextDecoder does, before anything else', () => {
    fc.assert(
      fc.property(fc.array(damaged, { maxLength: 8 }), separator, (values, by) => {
        const column = columnOf(values)
        const texts = values.map(decode)
        expect(textsOf(kernel.repair(column))).toEqual(texts)
        expect(Buffer.from(kernel.repair(column).bytes).equals(bytesOf(texts.join('')))).toBe(true)
        expect(textsOf(kernel.split(column, by))).toEqual(texts.flatMap((value) => value.split(by)))
        expect(textsOf(kernel.words(column))).toEqual(texts.flatMap((value) => value.match(/\S+/g) ?? []))
        expect(textsOf(kernel.lower(column))).toEqual(texts.map((value) => value.toLowerCase()))
      }),
      { numRuns: 300 },
    )
  })

  it('tell UTF-8 from all other sequences of up to four bytes', () => {
    const leads = [0x7f, 0x80, 0xbf, 0xc0, 0xc1, 0xc2, 0xdf, 0xe0, 0xe1, 0xec, 0xed, 0xee, 0xef, 0xf0, 0xf1, 0xf3, 0xf4]
    const others = [0x00, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xff]
    const values: Uint8Array[] = []
    for (const a of leads.concat(0xf5, 0xf7, 0xf8, 0xfc, 0xff)) {
      for (const b of others) for (const c of others) for (const d of others) values.push(Uint8Array.of(a, b, c, d))
    }
    const padded = values.map((value, i) => new Uint8Array(Buffer.concat([Buffer.alloc(i % 19, 'x'), value])))
    const { bytes } = kernel.repair(columnOf(padded))
    expect(Buffer.from(bytes).equals(bytesOf(padded.map(decode).join('')))).toBe(true)
  })

  it('do not look for a separator across values', () => {
    expect(textsOf(kernel.split(textColumn(['a,', ' b', ',', ' ']), ', '))).toEqual(['a,', ' b', ',', ' '])
  })

  it('take slices of columns, and columns that are larger than a block', () => {
    const texts = Array.from({ length: 40_000 }, (_, i) => `text ${i} of ${'many '.repeat(i % 7)}`)
    texts[100] = 'a long one '.repeat(60_000)
    const column = textColumn(texts)
    expect(textsOf(kernel.split(column, ' '))).toEqual(texts.flatMap((value) => value.split(' ')))
    const slice = { bytes: column.bytes, offsets: column.offsets.subarray(50, 151), length: 100 }
    expect(textsOf(kernel.words(slice))).toEqual(texts.slice(50, 150).flatMap((value) => value.match(/\S+/g) ?? []))
    expect(kernel.words(textColumn([])).length).toBe(0)
  })

  it('leave the empty separator and lone surrogates to strings', () => {
    for (const by of ['', '\ud83d', 'a\udc00']) {
      expect(isColumnSeparator(by)).toBe(false)
      expect(() => kernel.split(textColumn(['a']), by)).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    }
  })
})

describe('memory', () => {
  it('has a limit that is reported', () => {
    const small = TextKernel.create({ maxMemoryMb: 8 })
    const counter = small.counter({ tokens: { split: ' ' } })
    const numbers = Array.from({ length: 400_000 }, (_, i) => String(i))
    expect(() => counter.addStrings(numbers)).toThrow(expect.objectContaining({ code: 'EXECUTION_MEMORY' }))
    expect(small.memoryBytes).toBeLessThanOrEqual(8 * 1024 * 1024)
  })

  it('is used again after close', () => {
    const own = TextKernel.create()
    const round = () => {
      const reader = own.csvReader({ columns: [0] })
      const counter = own.counter({ tokens: 'words' })
      counter.addStrings(Array.from({ length: 50_000 }, (_, i) => `number-${i}-with-a-long-tail`))
      expect(counter.size).toBe(50_000)
      reader.close()
      counter.close()
      return own.memoryBytes
    }
    const first = round()
    for (let i = 0; i < 10; i++) expect(round()).toBe(first)
  })

  it('refuses limits that WebAssembly does not have', () => {
    for (const maxMemoryMb of [0, 7, 5000, 1.5]) {
      expect(() => TextKernel.create({ maxMemoryMb })).toThrow(expect.objectContaining({ code: 'PLAN_OPTION' }))
    }
  })
})
