// A string that is looked for, as bytes: what it is hashed by, and compared with strings in a file by, without making
// a string of any of them.
import { hashBytes } from './hash.ts'
import type { Segment } from './segment.ts'
import { asciiStart, textAt } from './values/text.ts'

/** Longer strings get bytes of their own. */
const ROOM = 512

export class TextProbe {
  readonly #room = Buffer.alloc(ROOM)
  readonly #roomView = new DataView(this.#room.buffer, this.#room.byteOffset, ROOM)
  #text = ''
  #bytes: Uint8Array = this.#room
  #view = this.#roomView
  #length = 0
  #ascii = true

  /** The hash of the UTF-8 bytes. */
  hash(text: string, seed: number): number {
    if (this.#text !== text) this.#take(text)
    return hashBytes(this.#bytes, this.#length, seed)
  }

  /** Whether the string at a position is `text`. */
  isAt(segment: Segment, at: number, text: string): boolean {
    if (this.#text !== text) this.#take(text)
    const length = this.#length
    // Other encodings: unpaired surrogates are not in these bytes.
    if (!this.#ascii) return textAt(segment, at) === text
    const from = asciiStart(segment, at, length)
    if (from < 0) return false
    const { view } = segment
    const own = this.#view
    let index = 0
    for (; index + 4 <= length; index += 4) {
      if (view.getInt32(from + index, true) !== own.getInt32(index, true)) return false
    }
    for (; index < length; index++) if (view.getUint8(from + index) !== own.getUint8(index)) return false
    return true
  }

  #take(text: string): void {
    this.#text = text
    const length = text.length
    const room = this.#room
    let all = 0
    if (length <= ROOM) {
      for (let index = 0; index < length; index++) {
        const unit = text.charCodeAt(index)
        all |= unit
        room[index] = unit
      }
    }
    this.#ascii = all < 0x80 && length <= ROOM
    if (this.#ascii) {
      this.#bytes = room
      this.#view = this.#roomView
      this.#length = length
      return
    }
    const bytes = Buffer.from(text, 'utf8')
    this.#bytes = bytes
    this.#view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length)
    this.#length = bytes.length
  }
}
