// Keyspace events by publish and subscribe, of one server, on a raw connection of its own.
import { connect, type Socket } from 'node:net'
import { ConnectError } from '../../errors.ts'
import { connectTls } from '../tls.ts'
import { parseUrl, type Address } from '../url.ts'
import { CommandStream } from './command-stream.ts'

/** A server that answers nothing for so long is taken for dead. */
const silenceMs = 15_000

export interface Notice {
  readonly database: number
  readonly event: string
  readonly key: string
}

export interface SubscriptionOptions {
  readonly url: string
  readonly address: Address
  /** Of keyevent channels: `*` all, or names of events. */
  readonly events: readonly string[]
  readonly signal: AbortSignal
  /** Notices that came together. */
  readonly notices: (notices: readonly Notice[]) => void
}

/** A subscription that runs from open() on. */
export class Subscription {
  readonly #socket: Socket
  readonly #answers: (() => void)[] = []
  #wanted: number
  #ended: ConnectError | undefined
  #subscribed!: () => void
  #over!: () => void
  readonly #begun = new Promise<void>((resolve) => (this.#subscribed = resolve))
  /** Resolves when it is over, for whatever reason. */
  readonly ended = new Promise<void>((resolve) => (this.#over = resolve))

  /** Resolves when the server has it; rejects with CONNECT_LOST or CONNECT_PERMISSION. */
  static async open(options: SubscriptionOptions): Promise<Subscription> {
    const opened = new Subscription(options)
    await Promise.race([opened.#begun, opened.ended])
    opened.#check()
    return opened
  }

  private constructor({ url, address, events, signal, notices }: SubscriptionOptions) {
    const { credentials, tls } = parseUrl(url)
    const socket =
      'path' in address
        ? connect(address.path)
        : tls
          ? connectTls({ host: address.host, port: address.port })
          : connect(address.port, address.host)
    this.#socket = socket
    this.#wanted = events.length
    const { username, password } = credentials
    if (password !== undefined) this.#send('AUTH', ...(username === undefined ? [] : [username]), password)
    this.#send('PSUBSCRIBE', ...events.map((event) => `__keyevent@*__:${event}`))
    const abort = (): void => this.close()
    signal.addEventListener('abort', abort)
    if (signal.aborted) this.close()
    const stream = new CommandStream(0)
    socket.on('data', (bytes: Buffer) => {
      const refusal = this.#wanted > 0 ? /^-(.*)$/m.exec(bytes.toString())?.[1] : undefined
      if (refusal !== undefined) {
        this.#end(new ConnectError('CONNECT_PERMISSION', refusal))
        return
      }
      const found = [...stream.push(bytes)].flatMap((parts) => this.#hear(parts))
      if (found.length > 0) notices(found)
    })
    socket.on('error', (error) => this.#end(new ConnectError('CONNECT_LOST', error.message, { cause: error })))
    socket.on('close', () => {
      signal.removeEventListener('abort', abort)
      this.#end(new ConnectError('CONNECT_LOST', 'the server closed the connection'))
    })
  }

  #hear(parts: readonly Buffer[]): Notice[] {
    const [kind, , channel, key] = parts.map((part) => part.toString())
    if (kind === 'pong') this.#answers.shift()?.()
    if (kind === 'psubscribe' && --this.#wanted === 0) this.#subscribed()
    const [, database, event] = /^__keyevent@(\d+)__:(.*)$/s.exec(channel ?? '') ?? []
    return kind === 'pmessage' && event !== undefined ? [{ database: Number(database), event, key: key ?? '' }] : []
  }

  /** Resolves when all has come that the server had published before. Rejects with CONNECT_LOST. */
  async settle(): Promise<void> {
    this.#check()
    const late = setTimeout(() => this.#end(new ConnectError('CONNECT_LOST', 'no answer in time')), silenceMs)
    const answered = new Promise<void>((resolve) => this.#answers.push(resolve))
    this.#send('PING')
    await Promise.race([answered, this.ended])
    clearTimeout(late)
    this.#check()
  }

  close(): void {
    this.#end(new ConnectError('CONNECT_LOST', 'the subscription was closed'))
  }

  /** Why it ended, where it did. */
  get failure(): ConnectError | undefined {
    return this.#ended
  }

  #check(): void {
    if (this.#ended !== undefined) throw this.#ended
  }

  #end(error: ConnectError): void {
    this.#ended ??= error
    this.#socket.destroy()
    this.#over()
  }

  #send(...args: readonly string[]): void {
    const parts = args.map((arg) => `$${Buffer.byteLength(arg)}\r\n${arg}\r\n`)
    this.#socket.write(`*${args.length}\r\n${parts.join('')}`)
  }
}
