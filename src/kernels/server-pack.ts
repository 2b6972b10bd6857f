// MessagePack as the server's Lua reads and writes it: text and bytes are one kind of value there, and come back as bytes here.

export type Packable = false | number | string | Uint8Array | readonly Packable[]
export type Unpacked = false | number | Buffer | readonly Unpacked[]

/** Lists of whole numbers, text, bytes, false and lists. */
export function packForServer(value: readonly Packable[]): Buffer {
  const buffer = Buffer.allocUnsafe(sizeOf(value))
  return buffer.subarray(0, write(buffer, 0, value))
}

/** Enough: text may take three bytes a character. */
function sizeOf(value: Packable): number {
  if (value === false) return 1
  if (typeof value === 'number') return 9
  if (typeof value === 'string') return 5 + 3 * value.length
  if (value instanceof Uint8Array) return 5 + value.length
  let size = 5
  for (const item of value) size += sizeOf(item)
  return size
}

function write(buffer: Buffer, start: number, value: Packable): number {
  let at = start
  if (value === false) {
    buffer[at] = 0xc2
    return at + 1
  }
  if (typeof value === 'number') {
    if (value >= 0 && value < 128) {
      buffer[at] = value
      return at + 1
    }
    buffer[at] = 0xcb
    return buffer.writeDoubleBE(value, at + 1)
  }
  if (typeof value === 'string') {
    const most = 3 * value.length
    const head = most < 32 ? 1 : most < 0x10000 ? 3 : 5
    const length = buffer.write(value, at + head)
    writeHead(buffer, at, head, 0xa0, 0xda, length)
    return at + head + length
  }
  if (value instanceof Uint8Array) {
    const { length } = value
    const head = length < 32 ? 1 : length < 0x10000 ? 3 : 5
    writeHead(buffer, at, head, 0xa0, 0xda, length)
    buffer.set(value, at + head)
    return at + head + length
  }
  const head = value.length < 16 ? 1 : value.length < 0x10000 ? 3 : 5
  writeHead(buffer, at, head, 0x90, 0xdc, value.length)
  at += head
  for (const item of value) at = write(buffer, at, item)
  return at
}

function writeHead(buffer: Buffer, at: number, head: number, short: number, long: number, length: number): void {
  if (head === 1) buffer[at] = short | length
  else if (head === 3) {
    buffer[at] = long
    buffer.writeUInt16BE(length, at + 1)
  } else {
    buffer[at] = long + 1
    buffer.writeUInt32BE(length, at + 1)
  }
}

/** What packForServer() or the server's Lua wrote. */
export function unpackFromServer(bytes: Buffer): Unpacked {
  return new Reader(bytes).value()
}

class Reader {
  readonly #bytes: Buffer
  #at = 0

  constructor(bytes: Buffer) {
    this.#bytes = bytes
  }

  value(): Unpacked {
    const kind = this.#bytes[this.#at++] ?? 0xc0
    if (kind < 0x80) return kind
    if (kind >= 0xa0 && kind < 0xc0) return this.#text(kind & 0x1f)
    if (kind >= 0x90 && kind < 0xa0) return this.#list(kind & 0x0f)
    switch (kind) {
      case 0xd9:
        return this.#text(this.#number(1))
      case 0xda:
        return this.#text(this.#number(2))
      case 0xdb:
        return this.#text(this.#number(4))
      case 0xdc:
        return this.#list(this.#number(2))
      case 0xdd:
        return this.#list(this.#number(4))
      case 0xcc:
        return this.#number(1)
      case 0xcd:
        return this.#number(2)
      case 0xce:
        return this.#number(4)
      case 0xcf:
        return Number(this.#bytes.readBigUInt64BE((this.#at += 8) - 8))
      case 0xcb:
        return this.#bytes.readDoubleBE((this.#at += 8) - 8)
      default:
        return false
    }
  }

  #number(bytes: number): number {
    const value = this.#bytes.readUIntBE(this.#at, bytes)
    this.#at += bytes
    return value
  }

  #text(length: number): Buffer {
    this.#at += length
    return this.#bytes.subarray(this.#at - length, this.#at)
  }

  #list(length: number): Unpacked[] {
    return Array.from({ length }, () => this.value())
  }
}
