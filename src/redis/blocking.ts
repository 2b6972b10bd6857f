// A connection of its own for blocking reads from the owner of one key. It follows the key: a broken connection, or an
// owner that is none any more, costs the command that meets it; the next command finds the owner anew.
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError, GearmillError, PlanError } from '../errors.ts'
import { encode, send, type Client, type ClientSettings } from './client.ts'
import { Connection } from './connection.ts'
import type { Argument, BlockingConnection, CallOptions, Reply } from './deployment.ts'
import { judge, toConnectError } from './failures.ts'
import { untilAborted, type Router } from './router.ts'
import { addressLabel } from './url.ts'

export class OwnConnection implements BlockingConnection {
  readonly #router: Router
  readonly #slot: number
  readonly #settings: ClientSettings
  readonly #patienceMs: number
  readonly #onClose: () => void
  #connection: Connection | undefined
  #client: Connection['client']
  #connections = 0
  #closed = false

  /** @param patienceMs how long a command waits for the connection before it gives control back to the caller */
  constructor(router: Router, slot: number, settings: ClientSettings, patienceMs: number, onClose: () => void) {
    this.#router = router
    this.#slot = slot
    this.#settings = settings
    this.#patienceMs = patienceMs
    this.#onClose = onClose
    this.#connect()
  }

  get connections(): number {
    return this.#connections
  }

  command(args: readonly Argument[], options?: CallOptions): Promise<Reply> {
    return this.run((client) => send(client, encode(args), options), options?.signal)
  }

  /** What `sending` sends, while nothing else is sent over this connection. */
  async run<T>(sending: (client: Client) => Promise<T>, signal?: AbortSignal): Promise<T> {
    signal?.throwIfAborted()
    this.#throwIfClosed()
    const connection = this.#connect()
    if (connection?.client === undefined) {
      await (connection?.ready(this.#patienceMs) ?? delay(this.#patienceMs))
    }
    // It may have been aborted meanwhile: nobody would tell.
    signal?.throwIfAborted()
    this.#throwIfClosed()
    const client = connection?.client
    if (client === undefined) {
      await this.#router.refreshQuietly()
      const label = connection?.label ?? 'the server'
      throw new ConnectError('CONNECT_LOST', `${label} is not there now`, { cause: connection?.lastError })
    }
    if (client !== this.#client) {
      this.#client = client
      this.#connections += 1
    }
    const reply = sending(client)
    try {
      return await (signal === undefined ? reply : untilAborted(reply, signal))
    } catch (error) {
      if (signal?.aborted === true) {
        // The server still holds the read: only the end of the connection takes it back.
        this.#drop()
        throw error
      }
      this.#throwIfClosed(error)
      if (error instanceof GearmillError && !(error instanceof ConnectError)) throw error
      // Thrown before anything is sent: an argument that none can be.
      if (error instanceof TypeError) {
        throw new PlanError('PLAN_OPTION', `a Redis command: ${error.message}`, { cause: error })
      }
      const { kind } = judge(error)
      const moved = kind === 'moved' || kind === 'refresh' || isUnblocked(error)
      if (moved) await this.#router.refreshQuietly()
      if (kind === 'refused' && !isUnblocked(error)) throw toConnectError(error, connection?.label ?? 'the server')
      const why = error instanceof Error ? error.message : String(error)
      throw new ConnectError('CONNECT_LOST', `a read was cut off: ${why}`, { cause: error })
    }
  }

  #throwIfClosed(cause?: unknown): void {
    if (this.#closed || this.#router.closed) {
      throw new ConnectError('CONNECT_CLOSED', 'the connection was closed', { cause })
    }
  }

  async close(): Promise<void> {
    this.#closed = true
    this.#drop()
    this.#onClose()
  }

  /** The connection to the present owner. */
  #connect(): Connection | undefined {
    const address = this.#router.addressOf(this.#slot)
    if (address === undefined) return this.#connection
    if (this.#connection?.label === addressLabel(address)) return this.#connection
    this.#drop()
    this.#connection = Connection.start(address, this.#settings)
    return this.#connection
  }

  #drop(): void {
    this.#connection?.destroy()
    this.#connection = undefined
  }
}

/** The server ends a blocked read when its key moves to another node. */
function isUnblocked(error: unknown): boolean {
  return error instanceof Error && error.message.startsWith('UNBLOCKED')
}
