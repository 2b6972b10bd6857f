// A raw connection to a primary that speaks as a replica does: handshake, PSYNC, skipping a snapshot, acknowledgements.
//
// States: handshake (one reply a line) -> synchronising (+CONTINUE, or +FULLRESYNC and a snapshot to skip) -> streaming.
import { connect, type Socket } from 'node:net'
import { connect as connectTls } from 'node:tls'
import { ConnectError } from '../../errors.ts'
import type { Address, ConnectionUrl } from '../url.ts'
import { CommandStream } from './command-stream.ts'

const connectMs = 5000
/** A primary pings its replicas every ten seconds. */
const silenceMs = 60_000
const ackMs = 1000
/** The first acknowledgement may come before the server counts us in: it is repeated until data flow. */
const firstAckMs = 10
const firstAcks = 100

/** Where a tap is in a primary's history. */
export interface TapPosition {
  readonly replid: string
  /** Of the last byte that was taken. */
  readonly offset: number
}

export interface LinkEvents {
  /** The stream begins behind this position; `continued`: it is where we were, nothing is missing. */
  started(position: TapPosition, continued: boolean): Promise<void>
  /** Commands that arrived together, and the position behind the last of them. Resolves when more may come. */
  commands(commands: readonly Buffer[][], position: TapPosition): Promise<void>
}

/** Runs until the connection ends or the signal aborts. Rejects with CONNECT_*; CONNECT_PERMISSION where the server refuses replicas. */
export async function runLink(
  address: Address,
  url: Pick<ConnectionUrl, 'credentials' | 'tls'>,
  from: TapPosition | undefined,
  events: LinkEvents,
  signal: AbortSignal,
): Promise<void> {
  const socket = open(address, url.tls)
  const abort = (): void => void socket.destroy()
  signal.addEventListener('abort', abort)
  const link = new Link(socket, events)
  try {
    await link.run(url, from)
  } catch (error) {
    if (signal.aborted) return
    throw error
  } finally {
    signal.removeEventListener('abort', abort)
    link.stop()
    socket.destroy()
  }
}

function open(address: Address, tls: boolean): Socket {
  if ('path' in address) return connect(address.path)
  return tls ? connectTls({ host: address.host, port: address.port }) : connect(address.port, address.host)
}

class Link {
  readonly #socket: Socket
  readonly #events: LinkEvents
  readonly #chunks: AsyncIterator<Buffer>
  #buffer: Buffer = Buffer.alloc(0)
  #acks: NodeJS.Timeout | undefined
  #taken = 0

  constructor(socket: Socket, events: LinkEvents) {
    this.#socket = socket
    this.#events = events
    socket.setNoDelay(true)
    socket.setTimeout(silenceMs, () => socket.destroy(lost('the server is silent')))
    this.#chunks = socket[Symbol.asyncIterator]() as AsyncIterator<Buffer>
  }

  stop(): void {
    clearInterval(this.#acks)
  }

  async run(url: Pick<ConnectionUrl, 'credentials'>, from: TapPosition | undefined): Promise<void> {
    const { username, password } = url.credentials
    const late = setTimeout(() => this.#socket.destroy(lost('no answer in time')), connectMs)
    if (password !== undefined) await this.#ask('AUTH', ...(username === undefined ? [] : [username]), password)
    await this.#ask('PING')
    await this.#ask('REPLCONF', 'listening-port', '0')
    await this.#ask('REPLCONF', 'capa', 'eof', 'capa', 'psync2')
    // Redis 7: a snapshot without data. Where it is not known the snapshot is skipped.
    await this.#ask('REPLCONF', 'rdb-filter-only', '').catch(() => undefined)
    clearTimeout(late)
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
    const { replid } = start
    const stream = new CommandStream(start.offset)
    this.#taken = start.offset
    this.#acknowledge()
    await this.#events.started(start, continued)
    let bytes: Buffer = this.#buffer
    this.#buffer = Buffer.alloc(0)
    for (;;) {
      const commands = [...stream.push(bytes)]
      if (commands.length > 0) await this.#events.commands(commands, { replid, offset: stream.offset })
      this.#taken = stream.offset
      bytes = await this.#more()
    }
  }

  /** The server learns how far we are: what is taken is safe with us. */
  #acknowledge(): void {
    const ack = (): void => {
      this.#send('REPLCONF', 'ACK', String(this.#taken))
    }
    let repeated = 0
    const begun = this.#taken
    this.#acks = setInterval(() => {
      ack()
      if (this.#taken === begun && ++repeated < firstAcks) return
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
        const at = this.#buffer.indexOf(mark)
        if (at >= 0) {
          this.#buffer = this.#buffer.subarray(at + mark.length)
          return
        }
        // The mark may be cut in two.
        this.#buffer = Buffer.concat([this.#buffer.subarray(-mark.length), await this.#more()])
      }
    }
    let left = Number(head.slice(1))
    while (this.#buffer.length < left) {
      left -= this.#buffer.length
      this.#buffer = await this.#more()
    }
    this.#buffer = this.#buffer.subarray(left)
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
      const end = this.#buffer.indexOf(0x0a)
      if (end >= 0) {
        const line = this.#buffer.toString('utf8', 0, end).replace(/\r$/, '')
        this.#buffer = this.#buffer.subarray(end + 1)
        return line
      }
      this.#buffer = Buffer.concat([this.#buffer, await this.#more()])
    }
  }

  async #more(): Promise<Buffer> {
    try {
      const next = await this.#chunks.next()
      if (next.done !== true) return next.value
    } catch (error) {
      throw error instanceof ConnectError ? error : lost(error instanceof Error ? error.message : String(error))
    }
    throw lost('the server closed the connection')
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
