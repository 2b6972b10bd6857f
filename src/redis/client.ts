// One connection to a server: commands go out in the order in which they were given, those of one tick together, and replies
// come back in that order. It lives once: what comes back after a loss is another one (connection.ts).
import { connect, isIP, type Socket } from 'node:net'
import type { ConnectionOptions } from 'node:tls'
import type { Argument, CallOptions, ColumnReply, Reply } from './deployment.ts'
import { NotSentError } from './failures.ts'
import type { EncodedArguments } from './protocol/arguments.ts'
import { ErrorReply, ProtocolError, ReplyReader, type Decoding, type Value } from './protocol/reader.ts'
import { encodeRequest, type RequestArgument } from './protocol/request.ts'
import { connectTls } from './tls.ts'
import type { Address, Credentials } from './url.ts'

/** How to talk to a server, whatever its address. */
export interface ClientSettings {
  readonly credentials: Credentials
  readonly database: number
  /** TLS options for rediss://; false: no TLS. */
  readonly tls: TlsOptions | false
  /** Shown by CLIENT LIST. */
  readonly name: string
  /** Longest time to open a connection, in milliseconds. */
  readonly connectTimeoutMs: number
  /** Longest silence of a server before the connection counts as broken, in milliseconds. Infinity: any is right. */
  readonly socketTimeoutMs: number
}

export type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>

const textReplies: Decoding = { bulk: 'text', map: 'map', big: 'text' }
/** Keys of a Map would be decoded as text, so maps arrive flat where bytes matter. */
const binaryReplies: Decoding = { bulk: 'bytes', map: 'flat', big: 'text' }
const columnReplies: Decoding = { bulk: 'column', map: 'map', big: 'text' }
/** What node-redis decodes without being told otherwise. */
const plainReplies: Decoding = { bulk: 'text', map: 'object', big: 'bigint' }

interface Waiting {
  readonly decoding: Decoding
  readonly resolve: (value: Value) => void
  readonly reject: (error: unknown) => void
}

const beatsOfSilence = 3
/** Pieces are written as one text up to this many characters. */
const longestText = 1 << 16
/** What is longer is written in parts of this many bytes. */
const longestPart = 1 << 22

/** Why a connection is over, where the socket does not say; who called gives it its code. */
class ConnectionEnd extends Error {
  override readonly name = 'ConnectionEnd'
}

export class Client {
  readonly #settings: ClientSettings
  readonly #address: Address
  readonly #reader: ReplyReader
  readonly #waiting = new Queue<Waiting>()
  #socket: Socket | undefined
  #pieces: RequestArgument[] = []
  /** A piece is being written in parts; the others wait. */
  #inParts = false
  #ready = false
  /** Why it is over. */
  #ended: Error | undefined
  #whenEnded: ((reason: Error) => void) | undefined
  #whenIdle: (() => void) | undefined
  #heartbeat: NodeJS.Timeout | undefined
  /** Heartbeats since something came. */
  #silentBeats = 0

  constructor(address: Address, settings: ClientSettings) {
    this.#address = address
    this.#settings = settings
    this.#reader = new ReplyReader({
      begin: () => this.#waiting.first?.decoding ?? textReplies,
      reply: (value) => this.#answer(value),
    })
  }

  get isReady(): boolean {
    return this.#ready
  }

  /** Is called once, when the connection ends in any way. */
  onEnd(listener: (reason: Error) => void): void {
    this.#whenEnded = listener
  }

  /** Opens the socket and introduces itself. Rejects with the server's error, or that of the socket. */
  async connect(): Promise<void> {
    const { credentials, database, name } = this.#settings
    const socket = this.#open()
    this.#socket = socket
    socket.setNoDelay(true)
    socket.setKeepAlive(true, 5000)
    socket.on('data', (chunk: Buffer) => {
      this.#silentBeats = 0
      this.#read(chunk)
    })
    socket.on('error', (error) => this.destroy(error))
    socket.on('close', () => this.destroy(new ConnectionEnd('the socket was closed')))
    const { username, password } = credentials
    // A user may have no password; who is named is never taken for the default user.
    const anonymous = username === undefined && password === undefined
    const login = anonymous ? [] : ['AUTH', username ?? 'default', password ?? '']
    // Servers refuse names with anything else in them.
    const shownName = name.replaceAll(/[^!-~]/g, '_')
    const steps = [this.#ask(['HELLO', '3', ...login, 'SETNAME', shownName], textReplies)]
    if (database !== 0) steps.push(this.#ask(['SELECT', String(database)], textReplies))
    try {
      const [greeting] = await Promise.all(steps)
      if (!(greeting instanceof Map)) throw new ProtocolError('what answers is no Redis')
    } catch (error) {
      throw error instanceof ErrorReply ? withoutArguments(error) : error
    }
    // The end may have come in the same chunk as the answers.
    if (this.#ended !== undefined) throw this.#ended
    this.#ready = true
    this.#watch()
  }

  #open(): Socket {
    const address = this.#address
    if ('path' in address) return connect(address.path)
    const { tls } = this.#settings
    const place = { host: address.host, port: address.port }
    if (tls === false) return connect(place)
    // Servers that share an address are told apart by the name, which is sent only where it is given.
    const servername = isIP(address.host) === 0 ? { servername: address.host } : {}
    return connectTls({ ...servername, ...tls, ...place })
  }

  /** Sends one command. */
  send(args: readonly RequestArgument[], decoding: Decoding, behind?: EncodedArguments): Promise<Value> {
    if (!this.#ready) return Promise.reject(new NotSentError(this.#ended))
    return this.#ask(args, decoding, behind)
  }

  #ask(args: readonly RequestArgument[], decoding: Decoding, behind?: EncodedArguments): Promise<Value> {
    return new Promise((resolve, reject) => {
      if (this.#ended !== undefined) throw this.#ended
      const pieces = this.#pieces
      const before = pieces.length
      try {
        if (behind === undefined) encodeRequest(args, (piece) => pieces.push(piece))
        else {
          encodeRequest(args, (piece) => pieces.push(piece), behind.length)
          pieces.push(behind.encoded)
        }
      } catch (error) {
        pieces.length = before
        throw error
      }
      this.#waiting.push({ decoding, resolve, reject })
      // When everything that is ready to run has run.
      if (before === 0) process.nextTick(() => this.#flush())
    })
  }

  #flush(): void {
    const pieces = this.#pieces
    const socket = this.#socket
    if (this.#inParts || socket === undefined || this.#ended !== undefined) return
    this.#pieces = []
    if (pieces.length === 1 && (pieces[0] as RequestArgument).length <= longestPart) {
      socket.write(pieces[0] as RequestArgument)
      return
    }
    socket.cork()
    let text = ''
    for (const [i, piece] of pieces.entries()) {
      if (piece.length > longestPart) {
        if (text !== '') socket.write(text)
        socket.uncork()
        this.#pieces = pieces.slice(i + 1)
        this.#inParts = true
        this.#writeParts(socket, typeof piece === 'string' ? Buffer.from(piece) : piece)
        return
      }
      if (typeof piece === 'string' && text.length + piece.length <= longestText) {
        text += piece
        continue
      }
      if (text !== '') socket.write(text)
      text = ''
      if (typeof piece === 'string') text = piece
      else socket.write(piece)
    }
    if (text !== '') socket.write(text)
    socket.uncork()
  }

  /** What a server takes shows that it lives, long before it answers. */
  #writeParts(socket: Socket, bytes: Buffer): void {
    socket.write(bytes.subarray(0, longestPart), () => {
      this.#silentBeats = 0
      if (this.#ended !== undefined) return
      if (bytes.length > longestPart) {
        this.#writeParts(socket, bytes.subarray(longestPart))
        return
      }
      this.#inParts = false
      if (this.#pieces.length > 0) this.#flush()
    })
  }

  /** Whatever the peer sends, it can end this connection only. */
  #read(chunk: Buffer): void {
    try {
      this.#reader.push(chunk)
    } catch (error) {
      this.destroy(error instanceof Error ? error : new ConnectionEnd('a reply could not be read'))
    }
  }

  #answer(value: Value): void {
    const waiting = this.#waiting.shift()
    // To which command the next reply belongs, nobody could say.
    if (waiting === undefined) throw new ProtocolError('a reply came that no command had asked for')
    if (value instanceof ErrorReply) waiting.reject(value)
    else waiting.resolve(value)
    if (this.#waiting.first === undefined) this.#whenIdle?.()
  }

  /**
   * A silent connection must be told from a dead one: one that has nothing to say is asked. Beats are counted, and not time:
   * a process that was busy or stopped for long has not listened, and what it missed waits in the socket.
   */
  #watch(): void {
    const { socketTimeoutMs } = this.#settings
    if (socketTimeoutMs === Infinity) return
    this.#heartbeat = setInterval(
      () => {
        this.#silentBeats++
        if (this.#silentBeats > beatsOfSilence) {
          this.destroy(new ConnectionEnd(`the server said nothing for ${socketTimeoutMs} ms`))
        } else if (this.#waiting.first === undefined) this.send(['PING'], textReplies).catch(() => undefined)
      },
      Math.floor(socketTimeoutMs / beatsOfSilence),
    )
    this.#heartbeat.unref()
  }

  /** Waits for replies that are under way, then ends. */
  async close(): Promise<void> {
    this.#ready = false
    if (this.#ended !== undefined) return
    if (this.#waiting.first !== undefined) await new Promise<void>((resolve) => (this.#whenIdle = resolve))
    this.destroy()
  }

  /** Ends at once; commands that wait are rejected with the reason. */
  destroy(reason: Error = new ConnectionEnd('the connection was closed')): void {
    if (this.#ended !== undefined) return
    this.#ended = reason
    this.#ready = false
    clearInterval(this.#heartbeat)
    this.#socket?.destroy()
    this.#pieces = []
    this.#whenIdle?.()
    this.#whenEnded?.(reason)
    for (let waiting = this.#waiting.shift(); waiting !== undefined; waiting = this.#waiting.shift()) {
      waiting.reject(reason)
    }
  }
}

/** A server that does not know a command repeats what it was given: passwords, too. */
function withoutArguments(error: ErrorReply): ErrorReply {
  return new ErrorReply(error.message.replace(/,? with args beginning with:[^]*$/, ''))
}

/** First in, first out, without moving what is behind. */
class Queue<T> {
  #items: (T | undefined)[] = []
  #next = 0

  get first(): T | undefined {
    return this.#items[this.#next]
  }

  push(item: T): void {
    this.#items.push(item)
  }

  shift(): T | undefined {
    const item = this.#items[this.#next]
    if (item === undefined) return undefined
    // What is done would hold its reply for as long as a later one is waited for.
    this.#items[this.#next++] = undefined
    if (this.#next === this.#items.length) {
      this.#items = []
      this.#next = 0
    } else if (this.#next >= 4096 && this.#next * 2 >= this.#items.length) {
      this.#items = this.#items.slice(this.#next)
      this.#next = 0
    }
    return item
  }
}

/** Sends one raw command. The signal is not passed on: whoever waits stops waiting, the command goes its way. */
export function send(client: Client, args: readonly RequestArgument[], options?: CallOptions): Promise<Reply> {
  return client.send(args, options?.binary === true ? binaryReplies : textReplies) as Promise<Reply>
}

/** Sends a command whose reply is wanted as columns; `behind` are further arguments. */
export function sendForColumns(
  client: Client,
  args: readonly RequestArgument[],
  behind?: EncodedArguments,
): Promise<ColumnReply> {
  return client.send(args, columnReplies, behind) as Promise<ColumnReply>
}

/** Sends one command and decodes the reply as node-redis does: see commands.ts. */
export function sendPlain(client: Client, args: readonly RequestArgument[]): Promise<unknown> {
  return client.send(args, plainReplies)
}

/** Arguments as the protocol encoder takes them. */
export function encode(args: readonly Argument[]): RequestArgument[] {
  return args.map((arg) => {
    if (typeof arg === 'string' || Buffer.isBuffer(arg)) return arg
    if (typeof arg === 'number') return String(arg)
    return Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength)
  })
}
