// Short texts out of bytes: one call decodes many neighbours, which are then cut from it. A text of more than 12 characters
// keeps its piece alive, so pieces are small.
import { isAscii } from 'node:buffer'

type Decode = (bytes: Buffer, from: number, to: number) => string

const pieceBytes = 1024

/** As `decode`, for texts that are asked for about in their order; bytes below 0x80 have to be ASCII, and may not change. */
export function inPieces(decode: Decode): Decode {
  let piece: string | undefined
  let of: Buffer | undefined
  let start = 0
  let end = 0
  return (bytes, from, to) => {
    if (bytes !== of || from < start || to > end) {
      if (to - from > pieceBytes) return decode(bytes, from, to)
      of = bytes
      start = from
      end = Math.min(bytes.length, from + pieceBytes)
      piece = isAscii(bytes.subarray(start, end)) ? bytes.toString('latin1', start, end) : undefined
    }
    return piece === undefined ? decode(bytes, from, to) : piece.slice(from - start, to - start)
  }
}
