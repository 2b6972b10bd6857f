// Lines of a part of a file: those that start in it, without their line ends (\n or \r\n).
import type { Chunks } from './source.ts'

/** Lines of one chunk; `offsets[i]` is where line i starts in the file. */
export interface Lines {
  readonly bytes: Buffer
  /** from, to of each line in `bytes`. */
  readonly bounds: number[]
  readonly offsets: number[]
  /** Where a line starts that is too long; it comes behind the others and is stepped over. */
  readonly tooLong?: number
}

/** A longer line is no text file's. */
export const longestLine = 64 * 1024 * 1024

/**
 * The lines that start in [from, to).
 * @param chunks the file from `from - 1` on, or from 0
 */
export async function* linesIn(
  chunks: Chunks,
  first: number,
  from: number,
  to: number,
  longest = longestLine,
): AsyncGenerator<Lines> {
  let rest: Buffer = Buffer.alloc(0)
  // Where `rest` starts in the file.
  let offset = from > first ? from - 1 : from
  // The line that is cut by the border belongs to the part in front.
  let skipping = from > first
  for await (const chunk of chunks) {
    let bytes = rest.length === 0 ? chunk : Buffer.concat([rest, chunk])
    if (skipping) {
      const end = chunk.indexOf(10)
      if (end < 0) {
        offset += chunk.length
        continue
      }
      offset += end + 1
      bytes = chunk.subarray(end + 1)
      skipping = false
    }
    const bounds: number[] = []
    const offsets: number[] = []
    let at = 0
    let done = false
    // A long line is looked through once: what is left over has no end in it.
    let end = bytes.indexOf(10, rest.length > 0 && at === 0 ? rest.length : 0)
    for (;;) {
      if (offset + at >= to) {
        done = true
        break
      }
      if (end < 0) break
      bounds.push(at, end > at && bytes[end - 1] === 13 ? end - 1 : end)
      offsets.push(offset + at)
      at = end + 1
      end = bytes.indexOf(10, at)
    }
    if (!done && bytes.length - at > longest) {
      yield { bytes, bounds, offsets, tooLong: offset + at }
      offset += bytes.length
      rest = Buffer.alloc(0)
      skipping = true
      continue
    }
    if (offsets.length > 0) yield { bytes, bounds, offsets }
    if (done) return
    rest = bytes.subarray(at)
    offset += at
  }
  if (!skipping && rest.length > 0 && offset < to) {
    const end = rest.at(-1) === 13 ? rest.length - 1 : rest.length
    yield { bytes: rest, bounds: [0, end], offsets: [offset] }
  }
}
