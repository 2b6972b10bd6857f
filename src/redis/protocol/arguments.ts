// Arguments of commands as bytes on the wire, written without an object (or a string) for each.

/** Arguments as they are sent. */
export interface EncodedArguments {
  /** How many there are. */
  readonly length: number
  readonly encoded: Buffer
}

// What several takers share, so that short ones cost no buffer each.
const slabBytes = 64 * 1024
// A call into the runtime costs as much as a loop over so many bytes.
const shortBytes = 32
// '$', the digits of a length, and two line breaks.
const frameBytes = 24

const dollar = 0x24
const zero = 0x30
const carriageReturn = 0x0d
const lineFeed = 0x0a

export class ArgumentWriter {
  #slab = Buffer.allocUnsafeSlow(slabBytes)
  #start = 0
  #end = 0
  #length = 0

  /** How many arguments wait to be taken. */
  get length(): number {
    return this.#length
  }

  /** Their size on the wire. */
  get bytes(): number {
    return this.#end - this.#start
  }

  /** Adds text as UTF-8, or bytes. */
  add(argument: string | Uint8Array): void {
    if (typeof argument !== 'string') this.addBytes(argument, 0, argument.length)
    else if (argument.length > shortBytes || !this.#addAscii(argument)) {
      const bytes = Buffer.from(argument)
      this.addBytes(bytes, 0, bytes.length)
    }
  }

  /** Adds a part of some bytes. */
  addBytes(bytes: Uint8Array, from: number, to: number): void {
    const size = to - from
    this.#begin(size)
    const slab = this.#slab
    let end = this.#end
    if (size <= shortBytes) for (let i = from; i < to; i++) slab[end++] = bytes[i] as number
    else {
      slab.set(bytes.subarray(from, to), end)
      end += size
    }
    this.#finish(end)
  }

  /** The arguments that were added since the last time. They are the taker's to keep. */
  take(): EncodedArguments {
    const taken = { length: this.#length, encoded: this.#slab.subarray(this.#start, this.#end) }
    this.#start = this.#end
    this.#length = 0
    return taken
  }

  /** False, and nothing done, where it holds other characters. */
  #addAscii(text: string): boolean {
    const size = text.length
    for (let i = 0; i < size; i++) if (text.charCodeAt(i) > 0x7f) return false
    this.#begin(size)
    const slab = this.#slab
    let end = this.#end
    for (let i = 0; i < size; i++) slab[end++] = text.charCodeAt(i)
    this.#finish(end)
    return true
  }

  #begin(size: number): void {
    this.#reserve(size + frameBytes)
    const slab = this.#slab
    slab[this.#end++] = dollar
    if (size < 10) slab[this.#end++] = zero + size
    else this.#end += slab.write(String(size), this.#end, 'latin1')
    slab[this.#end++] = carriageReturn
    slab[this.#end++] = lineFeed
  }

  #finish(end: number): void {
    this.#slab[end] = carriageReturn
    this.#slab[end + 1] = lineFeed
    this.#end = end + 2
    this.#length++
  }

  #reserve(bytes: number): void {
    if (this.#end + bytes <= this.#slab.length) return
    const waiting = this.#slab.subarray(this.#start, this.#end)
    this.#slab = Buffer.allocUnsafeSlow(Math.max(slabBytes, 2 * (waiting.length + bytes)))
    this.#slab.set(waiting)
    this.#start = 0
    this.#end = waiting.length
  }
}
