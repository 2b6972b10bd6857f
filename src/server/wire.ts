// Just enough of the Redis protocol to start and form private servers: commands over one socket, replies in RESP2.
import { connect, type Socket } from 'node:net'
import { ServerError } from '../errors.ts'

export type WireReply = string | number | null | WireReply[]
export type WireAddress = { readonly port: number } | { readonly path: string }

interface Waiter {
  readonly resolve: (reply: WireReply) => void
  readonly reject: (error: Error) => void
}

/** One connection. Commands are answered in order; a lost connection rejects all that wait. */
export class Wire {
  readonly #socket: Socket
  readonly #waiters: Waiter[] = []
  #received: Buffer<ArrayBufferLike> = Buffer.alloc(0)
  #lost: Error | undefined

  private constructor(socket: Socket) {
    this.#socket = socket
    socket.on('data', (chunk) => this.#receive(chunk))
    socket.on('error', (error) => this.#fail(error))
    socket.on('close', () => this.#fail(new ServerError('SERVER_START', 'the connection was closed')))
  }

  static open(address: WireAddress): Promise<Wire> {
    return new Promise((resolve, reject) => {
      const socket = 'path' in address ? connect(address.path) : connect(address.port, '127.0.0.1')
      socket.setNoDelay(true)
      socket.once('error', reject)
      socket.once('connect', () => {
        socket.off('error', reject)
        resolve(new Wire(socket))
      })
    })
  }

  command(...args: readonly (string | number)[]): Promise<WireReply> {
    const lost = this.#lost
    if (lost !== undefined) return Promise.reject(lost)
    let request = `*${args.length}\r\n`
    for (const arg of args) request += `$${Buffer.byteLength(String(arg))}\r\n${arg}\r\n`
    return new Promise((resolve, reject) => {
      this.#waiters.push({ resolve, reject })
      this.#socket.write(request)
    })
  }

  close(): void {
    this.#socket.destroy()
  }

  #receive(chunk: Buffer): void {
    this.#received = this.#received.length === 0 ? chunk : Buffer.concat([this.#received, chunk])
    let parsed = parse(this.#received, 0)
    while (parsed !== undefined) {
      this.#received = this.#received.subarray(parsed.end)
      const waiter = this.#waiters.shift()
      if (parsed.reply instanceof Error) waiter?.reject(parsed.reply)
      else waiter?.resolve(parsed.reply)
      parsed = parse(this.#received, 0)
    }
  }

  #fail(error: Error): void {
    this.#lost ??= error
    for (const waiter of this.#waiters.splice(0)) waiter.reject(error)
  }
}

interface Parsed {
  readonly reply: WireReply | Error
  readonly end: number
}

/** The reply that starts at `start`, or undefined while it is not whole. */
function parse(bytes: Buffer, start: number): Parsed | undefined {
  const lineEnd = bytes.indexOf('\r\n', start)
  if (lineEnd < 0) return undefined
  const line = bytes.toString('utf8', start + 1, lineEnd)
  const next = lineEnd + 2
  switch (String.fromCharCode(bytes[start] ?? 0)) {
    case '-':
      return { reply: new ServerError('SERVER_START', line), end: next }
    case ':':
      return { reply: Number(line), end: next }
    case '$': {
      const length = Number(line)
      if (length < 0) return { reply: null, end: next }
      if (bytes.length < next + length + 2) return undefined
      return { reply: bytes.toString('utf8', next, next + length), end: next + length + 2 }
    }
    case '*': {
      const items: WireReply[] = []
      let end = next
      for (let i = 0; i < Number(line); i++) {
        const item = parse(bytes, end)
        if (item === undefined) return undefined
        items.push(item.reply instanceof Error ? item.reply.message : item.reply)
        end = item.end
      }
      return { reply: items, end }
    }
    default:
      return { reply: line, end: next }
  }
}
