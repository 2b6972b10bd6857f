// Texts and columns for the tests of the text kernels.
import fc from 'fast-check'
import type { TextColumn } from '../../../src/native/text/column.ts'

const encoder = new TextEncoder()
const decoder = new TextDecoder('utf-8', { ignoreBOM: true })

export const bytesOf = (text: string): Uint8Array => encoder.encode(text)
export const decode = (bytes: Uint8Array): string => decoder.decode(bytes)

export function columnOf(values: readonly Uint8Array[]): TextColumn {
  const offsets = new Uint32Array(values.length + 1)
  values.forEach((value, i) => (offsets[i + 1] = (offsets[i] as number) + value.length))
  return { bytes: Buffer.concat(values), offsets, length: values.length }
}

export const textColumn = (texts: readonly string[]): TextColumn => columnOf(texts.map(bytesOf))

export function textsOf(column: TextColumn): string[] {
  return Array.from({ length: column.length }, (_, i) =>
    decode(column.bytes.subarray(column.offsets[i], column.offsets[i + 1])),
  )
}

/** What JavaScript counts: the reference for all counters. */
export function countsOf(tokens: Iterable<string>): Map<string, number> {
  const counts = new Map<string, number>()
  for (const token of tokens) counts.set(token, (counts.get(token) ?? 0) + 1)
  return counts
}

// Every blank of \s, the neighbours of some, letters that lower-casing changes (in length, too), and long runs.
const characters = [
  ' \t\n\v\f\r\u00a0\u1680\u2000\u2005\u200a\u2028\u2029\u202f\u205f\u3000\ufeff',
  '\u0000\u001c\u0085\u180e\u200b\u2010\u2030\u205e\u2060\u3001\ufeef\u00c2\u00e1\u00ef',
  'aAzZ[@`{09.,:',
  'éÉßẞİıΣσςΑΒАяЯÿŸȺⱥK',
  '漢字かナ한🎉𐐀𐐨',
]
const pieces = [
  ...characters.flatMap((some) => Array.from(some)),
  '\ufffd',
  'lorem',
  'IPSUM',
  'exactlysixteen16',
  'seventeen letters',
  'a-word-longer-than-sixteen-bytes',
  'x'.repeat(63),
  'y'.repeat(64),
  'z'.repeat(130),
]

/** Well-formed texts that are hard on the kernels. */
export const text = fc
  .array(fc.oneof({ weight: 6, arbitrary: fc.constantFrom(...pieces) }, fc.string({ unit: 'grapheme' })), {
    maxLength: 40,
  })
  .map((parts) => parts.join(''))

/** Plain words with blanks, so that most of a value takes the fast path. */
export const plainText = fc
  .array(fc.constantFrom('a', 'bb', 'word', 'Word', 'another', 'sixteen-letters!', 'seventeen-letters', ''), {
    maxLength: 60,
  })
  .map((parts) => parts.join(' '))

/** Bytes that are mostly UTF-8, with damage. */
export const damaged = fc
  .array(
    fc.oneof(
      text.map(bytesOf),
      fc.uint8Array({ maxLength: 6 }),
      fc.constantFrom(
        Uint8Array.of(0xc3),
        Uint8Array.of(0xe2, 0x82),
        Uint8Array.of(0xf0, 0x9f, 0x8e),
        Uint8Array.of(0xed, 0xa0, 0x80),
        Uint8Array.of(0xc0, 0x80),
        Uint8Array.of(0xf4, 0x90, 0x80, 0x80),
        Uint8Array.of(0xff, 0xfe),
      ),
    ),
    { maxLength: 5 },
  )
  .map((parts) => new Uint8Array(Buffer.concat(parts)))
