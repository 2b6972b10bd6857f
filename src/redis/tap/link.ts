// A raw connection to a primary that speaks as a replica does: handshake, PSYNC, skipping a snapshot, acknowledgements.
//
// States: handshake (one reply a line) -> synchronising (+CONTINUE, or +FULLRESYNC and a snapshot to skip) -> streaming.
// Streamed bytes are looked at where the socket puts them, in one buffer that is used again: what is to be kept is copied.
import { connect, type Socket, type SocketConnectOpts } from 'node:net'
import { ConnectError } from '../../errors.ts'
import { connectTls } from '../tls.ts'
import type { Address, ConnectionUrl } from '../url.ts'

const connectMs = 5000
/** A primary pings its replicas every ten seconds. */
const silenceMs = 60_000
const ackMs = 1000
/** The first acknowledgement may come before the server counts us in: it is repeated until data flow. */
const firstAckMs = 10
const firstAcks = 100
const bufferBytes = 2 * 1024 * 1024
/**
 * A busy server sends a little after each round of its loop; each is a wake-up for us and for it, what is found in it a call,
 * and a batch of its own for whoever listens. So what comes within `busyMs` of the last read is put off for `restMs`, and
 * while much comes at every read all of them are `longRestMs` apart.
 */
const busyMs = 0.5
const restMs = 2
const muchBytes = 4096
const longRestMs = 20

/** Where a tap is in a primary's history. */
export interface TapPosition {
  readonly replid: string
  /** Of the last byte that was taken. */
  readonly offset: number
}

export interface LinkEvents {
  /** The stream begins behind this position; `continued`: it is where we were, nothing is missing. */
  started(position: TapPosition, continued: boolean): Promise<void>
  /** Looks at bytes of the stream, the first of them at `offset` + 1; gives how many belong to whole commands. */
  bytes(buffer: Buffer, length: number, offset: number): number
  /** Resolves when more may come; undefined: at once. */
  busy(): Promise<void> | undefined
  /** How far everything is safe with us. */
  taken(): number
}

/** Runs until the connection ends or the signal aborts. Rejects with CONNECT_*; CONNECT_PERMISSION where the server refuses replicas. */
export async function runLink(
  address: Address,
  url: Pick<ConnectionUrl, 'credentials' | 'tls'>,
  from: TapPosition | undefined,
  events: LinkEvents,
  signal: AbortSignal,
): Promise<void> {
  const link = new Link(address, url.tls, events)
  const abort = (): void => link.close()
  signal.addEventListener('abort', abort)
  try {
    await link.run(url, from)
  } catch (error) {
    if (signal.aborted) return
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
    link.close()
  }
}

class Link {
  readonly #socket: Socket
  readonly #events: LinkEvents
  #buffer = Buffer.allocUnsafe(bufferBytes)
  #filled = 0
  #offset = 0
  #streaming = false
  #resting: NodeJS.Timeout | undefined
  #readAt = 0
  #acks: NodeJS.Timeout | undefined
  #ended: ConnectError | undefined
  #wake: (() => void) | undefined

  constructor(address: Address, tls: boolean, events: LinkEvents) {
    this.#events = events
    const place: SocketConnectOpts = 'path' in address ? { path: address.path } : address
    if (tls && !('path' in address)) {
      this.#socket = connectTls(address)
      this.#socket.on('data', (bytes: Buffer) => {
        if (!this.#came(bytes.length, bytes)) this.#socket.pause()
      })
    } else {
      this.#socket = connect({
        ...place,
        onread: { buffer: () => this.#room(), callback: (length, bytes) => this.#came(length, bytes) },
      })
    }
    this.#socket.setNoDelay(true)
    this.#socket.setTimeout(silenceMs, () => this.#end(lost('the server is silent')))
    this.#socket.on('error', (error) => this.#end(lost(error.message)))
    this.#socket.on('end', () => this.#end(lost('the server closed the connection')))
    this.#socket.on('close', () => this.#end(lost('the server closed the connection')))
  }

  close(): void {
    clearInterval(this.#acks)
    clearTimeout(this.#resting)
    this.#socket.destroy()
  }

  #end(error: ConnectError): void {
    this.#ended ??= error
    this.#socket.destroy()
    this.#wake?.()
  }

  #grow(): void {
    const larger = Buffer.allocUnsafe(this.#buffer.length * 2)
    this.#buffer.copy(larger, 0, 0, this.#filled)
    this.#buffer = larger
  }

  /** Where the socket puts what it reads next. */
  #room(): Buffer {
    // A command that does not fit.
    if (this.#filled === this.#buffer.length) this.#grow()
    return this.#buffer.subarray(this.#filled)
  }

  /** Bytes came, mostly behind what is there; false: no more for now. */
  #came(length: number, bytes: Uint8Array): boolean {
    const buffer = this.#buffer
    // Something was taken off the front since the socket was told where to put them.
    if (bytes.buffer !== buffer.buffer || bytes.byteOffset !== buffer.byteOffset + this.#filled) {
      while (this.#buffer.length - this.#filled < length) this.#grow()
      this.#buffer.set(bytes.subarray(0, length), this.#filled)
    }
    this.#filled += length
    if (!this.#streaming) {
      this.#wake?.()
      return true
    }
    this.#scan()
    const rest = this.#restAfter(length)
    if (rest === 0 && this.#events.busy() === undefined) return true
    if (rest > 0) this.#resting = setTimeout(() => this.#resume(), rest)
    else this.#resume()
    return false
  }

  /** Milliseconds until it is worth to read again. */
  #restAfter(length: number): number {
    const now = performance.now()
    const since = now - this.#readAt
    this.#readAt = now
    if (length > this.#buffer.length / 2) return 0
    if (length > muchBytes && since < 2 * longRestMs) return longRestMs
    return since < busyMs ? restMs : 0
  }

  #resume(): void {
    const busy = this.#events.busy()
    if (busy !== undefined) void busy.then(() => this.#resume())
    else if (this.#ended === undefined) this.#socket.resume()
  }

  #scan(): void {
    const done = this.#events.bytes(this.#buffer, this.#filled, this.#offset)
    this.#drop(done)
    this.#offset += done
    // One command was larger than most: its room is given back.
    if (this.#buffer.length > bufferBytes && this.#filled < bufferBytes / 2) {
      const smaller = Buffer.allocUnsafe(bufferBytes)
      this.#buffer.copy(smaller, 0, 0, this.#filled)
      this.#buffer = smaller
    }
  }

  #drop(length: number): void {
    if (length > 0) this.#buffer.copyWithin(0, length, this.#filled)
    this.#filled -= length
  }

  async run(url: Pick<ConnectionUrl, 'credentials'>, from: TapPosition | undefined): Promise<void> {
    const { username, password } = url.credentials
    const late = setTimeout(() => this.#end(lost('no answer in time')), connectMs)
    try {
      if (password !== undefined) await this.#ask('AUTH', ...(username === undefined ? [] : [username]), password)
      await this.#ask('PING')
      await this.#ask('REPLCONF', 'listening-port', '0')
      await this.#ask('REPLCONF', 'capa', 'eof', 'capa', 'psync2')
      // Redis 7: a snapshot without data. Where it is not known the snapshot is skipped.
      await this.#ask('REPLCONF', 'rdb-filter-only', '').catch((error: unknown) => {
        if (this.#ended !== undefined) throw error
      })
    } finally {
      clearTimeout(late)
    }
    const want = from === undefined ? ['?', '-1'] : [from.replid, String(from.offset + 1)]
    const reply = (await this.#ask('PSYNC', ...want)).split(' ')
    if (reply[0] === 'FULLRESYNC') {
      const position = { replid: reply[1] ?? '', offset: Number(reply[2]) }
      await this.#skipSnapshot()
      await this.#stream(position, false)
    } else if (reply[0] === 'CONTINUE' && from !== undefined) {
      await this.#stream({ replid: reply[1] ?? from.replid, offset: from.offset }, true)
    } else {
      throw new ConnectError('CONNECT_REPLY', `PSYNC was answered with ${reply.join(' ')}`)
    }
  }

  async #stream(start: TapPosition, continued: boolean): Promise<void> {
    this.#offset = start.offset
    this.#acknowledge(start.offset)
    await this.#events.started(start, continued)
    this.#streaming = true
    this.#scan()
    this.#resume()
    while (this.#ended === undefined) await new Promise<void>((resolve) => (this.#wake = resolve))
    throw this.#ended
  }

  /** The server learns how far we are: what is taken is safe with us. */
  #acknowledge(begun: number): void {
    let repeated = 0
    const ack = (): void => {
      this.#send('REPLCONF', 'ACK', String(this.#streaming ? this.#events.taken() : begun))
    }
    this.#acks = setInterval(() => {
      ack()
      if (this.#offset === begun && ++repeated < firstAcks) return
      clearInterval(this.#acks)
      this.#acks = setInterval(ack, ackMs)
      this.#acks.unref()
    }, firstAckMs)
    this.#acks.unref()
    ack()
  }

  /** `$<length>` and so many bytes, or `$EOF:<mark>` and bytes up to the mark. Newlines before it keep the link alive. */
  async #skipSnapshot(): Promise<void> {
    let head = ''
    while (head === '') head = await this.#line()
    if (head.startsWith('$EOF:')) {
      const mark = Buffer.from(head.slice(5))
      for (;;) {
        const at = this.#buffer.subarray(0, this.#filled).indexOf(mark)
        if (at >= 0) return this.#drop(at + mark.length)
        // The mark may be cut in two.
        this.#drop(Math.max(0, this.#filled - mark.length))
        await this.#more()
      }
    }
    for (let left = Number(head.slice(1)); left > 0;) {
      if (this.#filled === 0) await this.#more()
      const skipped = Math.min(left, this.#filled)
      this.#drop(skipped)
      left -= skipped
    }
  }

  async #ask(...args: readonly string[]): Promise<string> {
    this.#send(...args)
    for (;;) {
      const line = await this.#line()
      if (line === '') continue
      if (!line.startsWith('-')) return line.slice(1)
      const message = line.slice(1)
      if (/^(NOPERM|NOAUTH|WRONGPASS|DENIED)|unknown command/.test(message)) {
        throw new ConnectError('CONNECT_PERMISSION', `${args[0] ?? ''}: ${message}`)
      }
      throw new ConnectError('CONNECT_REPLY', `${args[0] ?? ''}: ${message}`)
    }
  }

  async #line(): Promise<string> {
    for (;;) {
      const end = this.#buffer.subarray(0, this.#filled).indexOf(0x0a)
      if (end >= 0) {
        const line = this.#buffer.toString('utf8', 0, end).replace(/\r$/, '')
        this.#drop(end + 1)
        return line
      }
      await this.#more()
    }
  }

  async #more(): Promise<void> {
    const before = this.#filled
    while (this.#filled === before) {
      if (this.#ended !== undefined) throw this.#ended
      await new Promise<void>((resolve) => (this.#wake = resolve))
    }
  }

  #send(...args: readonly string[]): void {
    if (this.#socket.destroyed) return
    const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
    this.#socket.write(`*${args.length}\r\n${parts.join('')}`)
  }
}

function lost(why: string): ConnectError {
  return new ConnectError('CONNECT_LOST', `the replication link ended: ${why}`)
}
