// Strings: a header of one to five bytes (length and encoding), then the characters. ASCII is one byte a character,
// other text UTF-8; strings with unpaired surrogates, which UTF-8 cannot hold, are UTF-16.
import { PointerCodec, misfit } from '../codec.ts'
import type { Packer } from '../packer.ts'
import type { Decoder } from '../decoder.ts'
import { schemaOf, type Node, type Schema } from '../schema.ts'
import type { Segment } from '../segment.ts'

/** A string of any length (one gigabyte at most) and content. */
export const str: Schema<string> = schemaOf({ kind: 'str' })

const ASCII = 0
const UTF8 = 1
const UTF16 = 2

/** What V8 can hold as a string; a longer length in a file is damage. */
const LONGEST = 2 ** 29 - 24
/** Strings up to this length are looked up among those stored before; longer ones seldom repeat. */
const LONGEST_SHARED = 64
/** Strings above it (three bytes a character) are never shared, so what they expand to is their bytes in the file. */
const NEVER_SHARED = 3 * LONGEST_SHARED
/** Strings below this length have a header of one byte. */
const ONE_BYTE_HEADER = 32
/** Up to here a loop in JavaScript is faster than a call into the engine. */
const SHORT = 48

// eslint-disable-next-line no-control-regex
const onlyAscii = /^[\0-\x7f]*$/
const unpaired = /\p{Surrogate}/u

/** Places a string; returns its position. */
export function putText(packer: Packer, text: string): number {
  const length = text.length
  if (length <= SHORT) {
    const at = packer.place(headerBytes(length) + length, 1)
    if (writeShort(packer, at, text)) return at
    packer.rewind(at)
  } else if (onlyAscii.test(text)) return putEncoded(packer, text, length, ASCII, 'latin1')
  if (unpaired.test(text)) return putEncoded(packer, text, length * 2, UTF16, 'utf16le')
  return putEncoded(packer, text, Buffer.byteLength(text), UTF8, 'utf8')
}

function putEncoded(packer: Packer, text: string, bytes: number, encoding: number, name: BufferEncoding): number {
  const header = headerBytes(bytes)
  const at = packer.place(header + bytes, 1)
  writeHeader(packer, at, bytes, encoding)
  packer.bytes.write(text, at - packer.base + header, bytes, name)
  return at
}

/** Writes a short ASCII string; false (and rubbish written) if it is not ASCII. */
function writeShort(packer: Packer, at: number, text: string): boolean {
  const { bytes } = packer
  const length = text.length
  writeHeader(packer, at, length, ASCII)
  const from = at - packer.base + headerBytes(length)
  for (let i = 0; i < length; i++) {
    const unit = text.charCodeAt(i)
    if (unit > 0x7f) return false
    bytes[from + i] = unit
  }
  return true
}

/** The header is `length * 4 + encoding` in groups of 7 bits, the lowest first; the top bit says that more follow. */
function headerBytes(length: number): number {
  if (length < ONE_BYTE_HEADER) return 1
  if (length < 2 ** 12) return 2
  if (length < 2 ** 19) return 3
  return length < 2 ** 26 ? 4 : 5
}

function writeHeader(packer: Packer, at: number, length: number, encoding: number): void {
  let rest = length * 4 + encoding
  let index = at - packer.base
  while (rest >= 128) {
    packer.bytes[index++] = (rest % 128) | 128
    rest = Math.floor(rest / 128)
  }
  packer.bytes[index] = rest
}

/** Where the bytes of a string are and how they are encoded; one object, filled again by each `locate`. */
const found = { from: 0, bytes: 0, encoding: ASCII }

function locate(segment: Segment, at: number): typeof found {
  segment.need(at, 1)
  let header = segment.view.getUint8(at)
  let from = at + 1
  if (header >= 128) {
    header -= 128
    for (let factor = 128; ; factor *= 128) {
      if (factor > 2 ** 28) segment.fault(`the length of a string at ${at}`)
      segment.need(from, 1)
      const next = segment.view.getUint8(from++)
      header += (next & 127) * factor
      if (next < 128) break
    }
  }
  found.from = from
  found.encoding = header & 3
  found.bytes = Math.floor(header / 4)
  if (found.bytes > LONGEST || from + found.bytes > segment.limit || found.encoding > UTF16) {
    segment.fault(`a string of ${found.bytes} bytes at ${at}`)
  }
  return found
}

/** The string at a position. Errors: `BUFFER_CORRUPT`. */
export function textAt(segment: Segment, at: number): string {
  if (at < 0 || at >= segment.limit) segment.fault(`a string at ${at}`)
  // Most strings: ASCII, and short enough for a header of one byte.
  const header = segment.view.getUint8(at)
  if (header < 128 && (header & 3) === ASCII) {
    const length = header >> 2
    if (at + 1 + length > segment.limit) segment.fault(`a string of ${length} bytes at ${at}`)
    return segment.asciiAt(at + 1, length)
  }
  const { from, bytes, encoding } = locate(segment, at)
  if (encoding === ASCII) return segment.asciiAt(from, bytes)
  return segment.bytes.toString(encoding === UTF8 ? 'utf8' : 'utf16le', from, from + bytes)
}

/** What decoding a string costs beyond one element. */
export function textCostAt(segment: Segment, at: number): number {
  const { bytes } = locate(segment, at)
  return bytes > NEVER_SHARED ? bytes : 0
}

/** Where the characters of an ASCII string of this length begin; -1 if the string at the position is another. */
export function asciiStart(segment: Segment, at: number, length: number): number {
  if (at < 0 || at >= segment.limit) segment.fault(`a string at ${at}`)
  if (length < ONE_BYTE_HEADER) {
    if (segment.view.getUint8(at) !== length * 4 + ASCII) return -1
    if (at + 1 + length > segment.limit) segment.fault(`a string of ${length} bytes at ${at}`)
    return at + 1
  }
  const { from, bytes, encoding } = locate(segment, at)
  return encoding === ASCII && bytes === length ? from : -1
}

export class TextCodec extends PointerCodec {
  readonly node: Node = { kind: 'str' }

  put(packer: Packer, value: unknown): number {
    if (typeof value !== 'string') return misfit(this.node, value, 'a string')
    if (!packer.interns || value.length > LONGEST_SHARED) return putText(packer, value)
    const known = packer.find(this, value)
    if (known !== undefined) return known
    const at = putText(packer, value)
    packer.remember(this, value, at)
    return at
  }

  plainAt(decoder: Decoder, segment: Segment, at: number): string {
    decoder.spend(1, textCostAt(segment, at))
    return textAt(segment, at)
  }

  viewAt(segment: Segment, at: number): string {
    return textAt(segment, at)
  }
}
