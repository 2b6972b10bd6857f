// Reads replies (RESP2 and RESP3) from the chunks of a socket.
//
// What is not complete stays: aggregates in a stack of frames, so that nothing is read twice, and the bytes that no frame has
// taken yet in a buffer of their own. How a reply is decoded is asked for when it begins.
import { constants } from 'node:buffer'
import type { ColumnReply, Reply } from '../deployment.ts'
import { BulkColumn } from './column.ts'

/** The server's answer is an error; `message` is its own text. */
export class ErrorReply extends Error {
  override readonly name = 'ErrorReply'
}

/** The peer sent what is no reply: nothing behind it can be understood either. */
export class ProtocolError extends Error {
  override readonly name = 'ProtocolError'
}

/** What replies become. */
export interface Decoding {
  /** Bulk strings. `column`: arrays of nothing but bulk strings stay as they came; all other strings are text. */
  readonly bulk: 'text' | 'bytes' | 'column'
  readonly map: 'map' | 'flat' | 'object'
  readonly big: 'text' | 'bigint'
}

/** Any decoded value; errors may also lie inside of arrays. */
export type Value = Reply | ColumnReply | ErrorReply | bigint | object

interface Frame {
  readonly kind: 'array' | 'map' | 'attribute' | 'push'
  /** Of items that are to come: two a pair of a map. */
  readonly size: number
  items: Value[]
  /** While all items were bulk strings: where they lie, from the start of the reply. */
  column: { readonly starts: Uint32Array; readonly lengths: Int32Array; length: number } | undefined
}

export interface ReaderEvents {
  /** A reply begins: how it is to be decoded. */
  begin(): Decoding
  reply(value: Value): void
}

const empty = Buffer.alloc(0)
const lf = 10
/** No server sends more. */
const mostItems = 0xffffffff
/** Nothing was read, for bytes are missing. */
const missing = Symbol('missing')
/** A frame was opened. */
const opened = Symbol('opened')

/** 1 for each byte that a reply may begin with. */
const replyTypes = new Uint8Array(256)
for (const byte of Buffer.from('+-:$*_#,(!=~%>|')) replyTypes[byte] = 1

const plain: Decoding = { bulk: 'text', map: 'map', big: 'text' }

export class ReplyReader {
  readonly #events: ReaderEvents
  readonly #frames: Frame[] = []
  #decoding: Decoding = plain
  #bytes: Buffer = empty
  #at = 0
  #end = 0
  /** Where the reply in hand starts; only while it is decoded into columns. */
  #start = 0
  #wanted = 0

  constructor(events: ReaderEvents) {
    this.#events = events
  }

  /** Takes bytes; they must not change afterwards. Throws, `ProtocolError` for one, where no more can be read. */
  push(chunk: Buffer): void {
    if (this.#at === this.#end && !this.#keepsStart) {
      this.#bytes = chunk
      this.#at = 0
      this.#end = chunk.length
    } else this.#append(chunk)
    while (this.#at < this.#end) {
      const value = this.#value()
      if (value === missing) break
      if (value !== opened) this.#deliver(value)
    }
    if (this.#at === this.#end && !this.#keepsStart) this.#bytes = empty
  }

  get #keepsStart(): boolean {
    return this.#frames.length > 0 && this.#decoding.bulk === 'column'
  }

  /** Puts a chunk behind what is kept, in a buffer that nobody else has. */
  #append(chunk: Buffer): void {
    const from = this.#keepsStart ? this.#start : this.#at
    const kept = this.#end - from
    const needed = kept + chunk.length
    if (from > 0 || this.#bytes.length < needed) {
      const larger = Buffer.allocUnsafeSlow(Math.max(needed * 2, Math.min(this.#wanted + 64, 1 << 30)))
      this.#bytes.copy(larger, 0, from, this.#end)
      this.#bytes = larger
      this.#at -= from
      this.#start = 0
    }
    chunk.copy(this.#bytes, kept)
    this.#end = needed
    this.#wanted = 0
  }

  #deliver(first: Value): void {
    let value = first
    for (;;) {
      const frame = this.#frames.at(-1)
      if (frame === undefined) {
        this.#events.reply(value)
        return
      }
      frame.items.push(value)
      if (frame.items.length < frame.size) return
      this.#frames.pop()
      // Neither pushes nor attributes answer a command.
      if (frame.kind === 'push' || frame.kind === 'attribute') return
      value = this.#closed(frame)
    }
  }

  #closed({ kind, items }: Frame): Value {
    if (kind !== 'map' || this.#decoding.map === 'flat') return items
    const pairs = Array.from({ length: items.length / 2 }, (_, i) => [items[2 * i], items[2 * i + 1]] as const)
    if (this.#decoding.map === 'map') return new Map(pairs as [Reply, Reply][])
    // Plain objects, as node-redis has them; but __proto__ is a name as any other.
    return Object.fromEntries(pairs.filter(([name]) => typeof name !== 'object'))
  }

  #value(): Value | typeof missing | typeof opened {
    const frame = this.#frames.at(-1)
    if (frame?.column !== undefined) {
      const taken = this.#column(frame, frame.column)
      if (taken !== undefined) return taken
    }
    const bytes = this.#bytes
    const type = bytes[this.#at] as number
    // Before more of it is waited for: it may be a peer of another kind, which waits for us.
    if (replyTypes[type] !== 1) throw unexpected(type)
    const lineEnd = bytes.indexOf(lf, this.#at)
    if (lineEnd < 0 || lineEnd >= this.#end) return missing
    if (this.#frames.length === 0) {
      this.#decoding = type === 0x3e || type === 0x7c ? plain : this.#events.begin()
      this.#start = this.#at
    }
    const from = this.#at + 1
    switch (type) {
      case 0x24: // $
      case 0x21: // !
      case 0x3d: // =
        return this.#bulk(type, from, lineEnd + 1)
      case 0x2a: // *
      case 0x7e: // ~
      case 0x3e: // >
      case 0x25: // %
      case 0x7c: // |
        return this.#open(type, this.#number(from, lineEnd - 1), lineEnd + 1)
    }
    this.#at = lineEnd + 1
    const text = (): string => bytes.toString('latin1', from, lineEnd - 1)
    switch (type) {
      case 0x3a: // :
        return this.#number(from, lineEnd - 1)
      case 0x2d: // -
        return new ErrorReply(bytes.toString('utf8', from, lineEnd - 1))
      case 0x5f: // _
        return null
      case 0x23: // #
        return bytes[from] === 0x74
      case 0x2c: // ,
        return doubleOf(text())
      case 0x28: // (
        return this.#decoding.big === 'bigint' ? BigInt(text()) : text()
      default: // + is left
        return bytes.toString('utf8', from, lineEnd - 1)
    }
  }

  #bulk(type: number, from: number, start: number): Value | typeof missing {
    const length = this.#number(from, start - 2)
    if (length < 0) {
      this.#at = start
      return null
    }
    if (length > constants.MAX_LENGTH) throw new ProtocolError(`a reply of ${length} bytes cannot be read`)
    const end = start + length
    if (end + 2 > this.#end) {
      this.#wanted = end + 2 - (this.#keepsStart ? this.#start : this.#at)
      return missing
    }
    this.#at = end + 2
    const bytes = this.#bytes
    if (type === 0x21) return new ErrorReply(bytes.toString('utf8', start, end))
    // Three letters name the format.
    if (type === 0x3d) return bytes.toString('utf8', start + 4, end)
    if (this.#decoding.bulk === 'bytes') return copyOf(bytes, start, end)
    // An answer to this command only: the connection is as good as before.
    if (length > constants.MAX_STRING_LENGTH) return new ErrorReply(`ERR ${length} bytes are more than a text can have`)
    return bytes.toString('utf8', start, end)
  }

  #open(type: number, count: number, next: number): Value | typeof opened {
    this.#at = next
    if (count < 0) return null
    if (count > mostItems) throw new ProtocolError(`a reply of ${count} items cannot be read`)
    const isMap = type === 0x25
    const kind = isMap ? 'map' : type === 0x7c ? 'attribute' : type === 0x3e ? 'push' : 'array'
    const frame: Frame = {
      kind,
      size: kind === 'map' || kind === 'attribute' ? count * 2 : count,
      items: [],
      column: undefined,
    }
    if (count === 0) return kind === 'array' || kind === 'map' ? this.#closed(frame) : opened
    if (kind === 'array' && this.#decoding.bulk === 'column') {
      frame.column = { starts: new Uint32Array(count), lengths: new Int32Array(count), length: 0 }
    }
    this.#frames.push(frame)
    return opened
  }

  /** Goes on with a column; undefined where an item is no bulk string, so that the frame is one like all others. */
  #column(frame: Frame, column: NonNullable<Frame['column']>): Value | typeof missing | undefined {
    const { starts, lengths } = column
    const bytes = this.#bytes
    const available = this.#end
    const base = this.#start
    let at = this.#at
    let index = column.length
    for (; index < frame.size; index++) {
      if (at >= available) break
      const type = bytes[at]
      if (type === 0x5f) {
        // Null has a type of its own in RESP3.
        if (at + 3 > available) break
        starts[index] = at + 3 - base
        lengths[index] = -1
        at += 3
        continue
      }
      if (type !== 0x24) {
        column.length = index
        this.#at = at
        frame.items = this.#texts(column)
        frame.column = undefined
        return undefined
      }
      // The length, read digit by digit: a call for each would cost more than all the rest.
      let length = 0
      let next = at + 1
      let digit = bytes[next] as number
      const isNull = digit === 0x2d
      if (isNull) digit = bytes[++next] as number
      while (next < available && digit !== 0x0d) {
        if (digit < 0x30 || digit > 0x39) throw unexpected(digit)
        length = length * 10 + digit - 0x30
        digit = bytes[++next] as number
      }
      if (next === at + 1 && next < available) throw unexpected(digit)
      const start = next + 2
      const after = isNull ? start : start + length + 2
      if (after > available) {
        // As many bytes as the rest will have, if it is like what came.
        const average = index === 0 ? length + 8 : (at - base) / index
        this.#wanted = Math.ceil(Math.max(after - base, at - base + average * (frame.size - index)))
        break
      }
      starts[index] = start - base
      lengths[index] = isNull ? -1 : length
      at = after
    }
    column.length = index
    this.#at = at
    if (index < frame.size) return missing
    this.#frames.pop()
    return this.#finishColumn(column)
  }

  #finishColumn({ starts, lengths }: NonNullable<Frame['column']>): BulkColumn {
    return new BulkColumn(this.#bytes.subarray(this.#start, this.#at), starts, lengths)
  }

  #texts({ starts, lengths, length }: NonNullable<Frame['column']>): (string | null)[] {
    const texts: (string | null)[] = []
    for (let i = 0; i < length; i++) {
      const start = this.#start + (starts[i] as number)
      const size = lengths[i] as number
      texts.push(size < 0 ? null : this.#bytes.toString('utf8', start, start + size))
    }
    return texts
  }

  #number(from: number, to: number): number {
    const bytes = this.#bytes
    const negative = bytes[from] === 0x2d
    let value = 0
    let i = negative || bytes[from] === 0x2b ? from + 1 : from
    if (i >= to) throw unexpected(lf)
    for (; i < to; i++) {
      const digit = bytes[i] as number
      if (digit < 0x30 || digit > 0x39) throw unexpected(digit)
      value = value * 10 + digit - 0x30
    }
    return negative ? -value : value
  }
}

/** The peer's bytes are not shown: whatever it is, they may be somebody's secret. */
function unexpected(byte: number): ProtocolError {
  return new ProtocolError(`what came is no Redis protocol (a byte ${byte})`)
}

/** Not a view: a few bytes must not keep all that came with them. */
function copyOf(bytes: Buffer, start: number, end: number): Buffer {
  const copy = Buffer.allocUnsafe(end - start)
  bytes.copy(copy, 0, start, end)
  return copy
}

function doubleOf(text: string): number {
  if (text === 'inf' || text === '+inf') return Infinity
  if (text === '-inf') return -Infinity
  return text === 'nan' || text === '-nan' ? NaN : Number(text)
}
