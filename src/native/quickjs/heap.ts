// Which bytes of the engine's heap matter: its allocator (dlmalloc) keeps chunks one behind the other, each with its size in front.
// What is inside of free ones means nothing.

export interface Range {
  readonly from: number
  readonly to: number
}

/** In front of what an allocation returns. */
export const headerBytes = 8
/** What the allocator keeps inside of a free chunk, at its begin: links and an index. */
const linkBytes = 40
/** Smaller holes are not worth a copy of their own. */
const leastHole = 4096
const isUsed = 2
const flags = 7

/**
 * @param first address of the first chunk.
 * @returns ascending; undefined where the heap does not look as expected.
 */
export function liveRanges(memory: ArrayBuffer, first: number): Range[] | undefined {
  const view = new DataView(memory)
  const ranges: Range[] = []
  let from = first
  let at = first
  for (;;) {
    if (at + headerBytes > memory.byteLength) return undefined
    const head = view.getUint32(at + 4, true)
    // Behind the last one nothing was written yet.
    if (head === 0) break
    const size = head - (head & flags)
    if (size < 16 || at + size > memory.byteLength) return undefined
    if ((head & isUsed) === 0 && size >= leastHole) {
      ranges.push({ from, to: at + linkBytes })
      from = at + size
    }
    at += size
  }
  ranges.push({ from, to: at + headerBytes })
  return ranges
}
