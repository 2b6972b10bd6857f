// One connection to one address that comes back for ever.
//
// States: connecting -> ready -> (broken) connecting ... -> closed. Each attempt is a client of its own, so nothing of a
// broken one (its queue, half a reply) can reach the next. While it is not ready nothing is queued here: callers wait for
// `ready()` and send then. Attempts follow each other after 50 ms, doubled up to one second.
import { ConnectError } from '../errors.ts'
import { Client, type ClientSettings } from './client.ts'
import { toRefusal } from './failures.ts'
import { addressLabel, type Address } from './url.ts'

const firstPauseMs = 50
const longestPauseMs = 1000
/** How long close() waits for replies that are under way. */
const drainMs = 1000

export class Connection {
  readonly address: Address
  readonly label: string
  readonly #settings: ClientSettings
  readonly #waiters = new Set<() => void>()
  #client: Client | undefined
  #attempting: Client | undefined
  #timer: NodeJS.Timeout | undefined
  #lastError: ConnectError | undefined
  #closed = false

  constructor(address: Address, settings: ClientSettings) {
    this.address = address
    this.label = addressLabel(address)
    this.#settings = settings
  }

  /** Connects once; throws a coded error if that fails. */
  static async open(address: Address, settings: ClientSettings): Promise<Connection> {
    const connection = new Connection(address, settings)
    try {
      await connection.#attempt()
    } catch (error) {
      await connection.close()
      throw error
    }
    return connection
  }

  /** Connects in the background, trying for ever. */
  static start(address: Address, settings: ClientSettings): Connection {
    const connection = new Connection(address, settings)
    connection.#connect(firstPauseMs)
    return connection
  }

  /** The client, while it is connected. */
  get client(): Client | undefined {
    return this.#client
  }

  /** Why the last attempt failed; undefined while connected. */
  get lastError(): ConnectError | undefined {
    return this.#lastError
  }

  /** Resolves when it is connected, closed, or after `ms` milliseconds. */
  ready(ms: number): Promise<void> {
    if (this.#client !== undefined || this.#closed) return Promise.resolve()
    return new Promise((resolve) => {
      const done = (): void => {
        clearTimeout(timer)
        this.#waiters.delete(done)
        resolve()
      }
      const timer = setTimeout(done, ms)
      this.#waiters.add(done)
    })
  }

  /** Waits a moment for replies that are under way, then closes. */
  async close(): Promise<void> {
    const client = this.#client
    this.#end()
    if (client === undefined) return
    let timer: NodeJS.Timeout | undefined
    const late = new Promise((resolve) => (timer = setTimeout(resolve, drainMs)))
    await Promise.race([client.close().catch(() => {}), late])
    clearTimeout(timer)
    client.destroy()
  }

  /** Closes at once; commands that wait are rejected. */
  destroy(): void {
    const client = this.#client
    this.#end()
    client?.destroy()
  }

  #end(): void {
    this.#closed = true
    clearTimeout(this.#timer)
    this.#client = undefined
    this.#attempting?.destroy()
    this.#wake()
  }

  #connect(pauseMs: number): void {
    this.#attempt().catch(() => {
      if (this.#closed) return
      this.#timer = setTimeout(() => this.#connect(Math.min(pauseMs * 2, longestPauseMs)), pauseMs)
    })
  }

  async #attempt(): Promise<void> {
    const client = new Client(this.address, this.#settings)
    this.#attempting = client
    client.onEnd(() => {
      if (this.#client !== client) return
      this.#client = undefined
      if (!this.#closed) this.#timer = setTimeout(() => this.#connect(firstPauseMs), 0)
    })
    // A server may also accept the connection and say nothing.
    let timer: NodeJS.Timeout | undefined
    const late = new Promise<never>((_, reject) => {
      timer = setTimeout(() => {
        const ms = this.#settings.connectTimeoutMs
        reject(new ConnectError('CONNECT_REFUSED', `${this.label} did not answer within ${ms} ms`))
      }, this.#settings.connectTimeoutMs)
    })
    try {
      await Promise.race([client.connect(), late])
    } catch (error) {
      client.destroy()
      this.#lastError = toRefusal(error, this.label)
      throw this.#lastError
    } finally {
      clearTimeout(timer)
      this.#attempting = undefined
    }
    if (this.#closed) {
      client.destroy()
      return
    }
    this.#client = client
    this.#lastError = undefined
    this.#wake()
  }

  #wake(): void {
    for (const waiter of this.#waiters) waiter()
  }
}
