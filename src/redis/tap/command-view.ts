// Walks over the bytes that a primary sends to its replicas, one command after the other, and makes nothing of them but
// places: a tap passes over most commands, and a primary sends hundreds of thousands a second.

const star = 0x2a
const dollar = 0x24
const cr = 0x0d
const lf = 0x0a

export class CommandView {
  buffer: Buffer = Buffer.alloc(0)
  /** Arguments, the name included; 0: a line that only keeps the link alive. */
  count = 0
  /** Where argument `i` begins and ends in the buffer. */
  readonly starts: number[] = []
  readonly ends: number[] = []

  /** Reads the command at `at`; gives where the next one begins, or -1 where this one is not whole before `end`. */
  read(buffer: Buffer, at: number, end: number): number {
    this.buffer = buffer
    this.count = 0
    if (at >= end) return -1
    if (buffer[at] !== star) {
      const line = buffer.indexOf(lf, at)
      return line < 0 || line >= end ? -1 : line + 1
    }
    const { starts, ends } = this
    let position = at + 1
    let count = 0
    for (;;) {
      if (position >= end) return -1
      const byte = buffer[position++] as number
      if (byte === cr) break
      count = count * 10 + byte - 0x30
    }
    position += 1
    for (let i = 0; i < count; i++) {
      if (position >= end || buffer[position] !== dollar) return -1
      position += 1
      let length = 0
      for (;;) {
        if (position >= end) return -1
        const byte = buffer[position++] as number
        if (byte === cr) break
        length = length * 10 + byte - 0x30
      }
      position += 1
      starts[i] = position
      position += length
      ends[i] = position
      position += 2
    }
    if (position > end) return -1
    this.count = count
    return position
  }

  /** The name has `length` letters, and begins with this one (lower case). */
  isLike(length: number, letter: number): boolean {
    const start = this.starts[0] as number
    return (this.ends[0] as number) - start === length && ((this.buffer[start] as number) | 0x20) === letter
  }

  /** Whether argument `i` begins with these bytes. */
  begins(i: number, prefix: Uint8Array): boolean {
    const start = this.starts[i] as number
    if ((this.ends[i] as number) - start < prefix.length) return false
    for (let k = 0; k < prefix.length; k++) if (this.buffer[start + k] !== prefix[k]) return false
    return true
  }

  text(i: number): string {
    return this.buffer.toString('utf8', this.starts[i], this.ends[i])
  }

  /** A copy of the command, for keeping. */
  copy(): Buffer[] {
    const parts: Buffer[] = []
    const first = this.starts[0] as number
    const bytes = Buffer.from(this.buffer.subarray(first, this.ends[this.count - 1]))
    for (let i = 0; i < this.count; i++) {
      parts.push(bytes.subarray((this.starts[i] as number) - first, (this.ends[i] as number) - first))
    }
    return parts
  }
}
