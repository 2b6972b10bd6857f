// Opens a deployment: the one door to Redis for the layers above.
import { ConnectError } from '../errors.ts'
import { OwnConnection } from './blocking.ts'
import { encode, send, sendForColumns, type Client, type ClientSettings, type TlsOptions } from './client.ts'
import type {
  Argument,
  BlockingConnection,
  CallOptions,
  ColumnReply,
  Deployment,
  Reply,
  Topology,
} from './deployment.ts'
import { isFunctionMissing } from './failures.ts'
import { readLibrary, type Library } from './library.ts'
import { loadLibrary } from './load.ts'
import { mayResend } from './resend.ts'
import type { EncodedArguments } from './protocol/arguments.ts'
import { Router, untilAborted, type Target } from './router.ts'
import { slotOf } from './slots.ts'
import { parseUrl } from './url.ts'

export interface ConnectOptions {
  /** How long a command waits for a server that is not there, in milliseconds. Default: 60,000. */
  readonly retryMs?: number
  /** How long the first connection may take, in milliseconds. Default: 5,000. */
  readonly connectTimeoutMs?: number
  /** For rediss:// URLs: certificates and the like. */
  readonly tls?: TlsOptions
  /** What CLIENT LIST shows. Default: 'gearmill'. */
  readonly name?: string
  /** A folder of server functions in place of Gearmill's own. */
  readonly functions?: string
  /** Another process has loaded the server functions just now: they are only loaded where a call misses one. Default: false. */
  readonly loaded?: boolean
  /** Gives up a connect that is under way. */
  readonly signal?: AbortSignal
}

/** A server that says nothing for so long is taken for dead; idle connections ping three times in it. */
const silenceMs = 15_000
/** Blocking reads are silent by nature: BLOCK must be well below. */
const blockedSilenceMs = 45_000
/** How long a blocking read waits for its connection. Its caller reads in a loop, which may have other things to do. */
const blockedPatienceMs = 1000

/**
 * Connects to a standalone server, a cluster, or what Sentinels name, and loads the server functions onto every shard.
 *
 * Throws `CONNECT_URL`, `CONNECT_REFUSED`, `CONNECT_AUTH`, `CONNECT_VERSION`, `CONNECT_PERMISSION`, `CONNECT_OOM`.
 */
export async function connectDeployment(url: string, options: ConnectOptions = {}): Promise<Deployment> {
  options.signal?.throwIfAborted()
  const parsed = parseUrl(url)
  const settings: ClientSettings = {
    credentials: parsed.credentials,
    database: parsed.database,
    tls: parsed.tls && (options.tls ?? {}),
    name: options.name ?? 'gearmill',
    connectTimeoutMs: options.connectTimeoutMs ?? 5000,
    socketTimeoutMs: silenceMs,
  }
  const opening = open(url, settings, options)
  if (options.signal === undefined) return opening
  try {
    return await untilAborted(opening, options.signal)
  } catch (error) {
    // It may still succeed, unwanted.
    if (options.signal.aborted) void opening.then((deployment) => deployment.close()).catch(() => {})
    throw error
  }
}

async function open(url: string, settings: ClientSettings, options: ConnectOptions): Promise<RedisDeployment> {
  const library = await readLibrary(options.functions)
  const router = await Router.open(parseUrl(url), settings, options.retryMs ?? 60_000)
  const deployment = new RedisDeployment(url, router, library, settings)
  try {
    if (options.loaded !== true) await deployment.loadEverywhere()
    return deployment
  } catch (error) {
    await deployment.close()
    throw error
  }
}

export class RedisDeployment implements Deployment {
  readonly router: Router
  readonly #url: string
  readonly #library: Library
  readonly #settings: ClientSettings
  readonly #blocking = new Set<OwnConnection>()

  constructor(url: string, router: Router, library: Library, settings: ClientSettings) {
    this.#url = url
    this.router = router
    this.#library = library
    this.#settings = settings
  }

  /** With the password: redactUrl() before it is shown. */
  get url(): string {
    return this.#url
  }

  get topology(): Topology {
    return this.router.topology
  }

  refresh(): Promise<Topology> {
    return this.router.refresh()
  }

  slotOf(key: string | Uint8Array): number {
    return slotOf(key)
  }

  command(key: string | Uint8Array, args: readonly Argument[], options?: CallOptions): Promise<Reply> {
    return this.#send({ slot: this.#route(key) }, args, mayResend(args[0]), options)
  }

  onShard(shard: string, args: readonly Argument[], options?: CallOptions): Promise<Reply> {
    return this.#send({ shard }, args, mayResend(args[0]), options)
  }

  columns(
    place: { readonly shard: string } | { readonly key: string | Uint8Array },
    args: readonly Argument[],
    behind?: EncodedArguments,
  ): Promise<ColumnReply> {
    const encoded = encode(args)
    const sending = (client: Client): Promise<ColumnReply> => sendForColumns(client, encoded, behind)
    const target = 'key' in place ? { slot: this.#route(place.key) } : place
    return this.router.run(target, sending, { resend: mayResend(args[0]) })
  }

  async call(name: string, keys: readonly string[], args: readonly Argument[], options?: CallOptions): Promise<Reply> {
    const target = { slot: this.#route(keys[0] ?? '') }
    const command = ['FCALL', this.#library.functionName(name), keys.length, ...keys, ...args]
    for (let attempt = 0; ; attempt++) {
      try {
        return await this.#send(target, command, true, options)
      } catch (error) {
        // A node that joined, or whose functions were flushed, has no library yet.
        if (!isFunctionMissing(error) || attempt === 3) throw error
        await this.#load(target)
      }
    }
  }

  async blocking(key: string): Promise<BlockingConnection> {
    return this.#own(key, blockedSilenceMs, blockedPatienceMs)
  }

  /** Over a connection of its own, which the server may keep waiting for as long as it likes. Sent once. */
  async alone<T>(key: string | Uint8Array, sending: (client: Client) => Promise<T>): Promise<T> {
    const connection = this.#own(key, Infinity, this.#settings.connectTimeoutMs)
    try {
      return await connection.run(sending)
    } finally {
      await connection.close()
    }
  }

  #own(key: string | Uint8Array, socketTimeoutMs: number, patienceMs: number): OwnConnection {
    if (this.router.closed) throw new ConnectError('CONNECT_CLOSED', 'the connection was closed')
    const settings = { ...this.#settings, socketTimeoutMs }
    const connection = new OwnConnection(this.router, this.#route(key), settings, patienceMs, () =>
      this.#blocking.delete(connection),
    )
    this.#blocking.add(connection)
    return connection
  }

  async close(): Promise<void> {
    const blocking = [...this.#blocking].map((connection) => connection.close())
    await Promise.all([...blocking, this.router.close()])
  }

  async loadEverywhere(): Promise<void> {
    await Promise.all(this.topology.shards.map(({ id }) => this.#load({ shard: id })))
  }

  #load(target: Target): Promise<void> {
    return loadLibrary(this.#library, (args) => this.#send(target, args, true))
  }

  #send(target: Target, args: readonly Argument[], resend: boolean, options?: CallOptions): Promise<Reply> {
    const encoded = encode(args)
    const sending = (client: Client): Promise<Reply> => send(client, encoded, options)
    return this.router.run(target, sending, { resend, signal: options?.signal })
  }

  /** Without a cluster every key has one home: its slot need not be computed. */
  #route(key: string | Uint8Array): number {
    return this.topology.cluster ? slotOf(key) : 0
  }
}
