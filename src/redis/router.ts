// Sends commands to the server that owns them, and stays with it: waits for lost connections, follows slots that move.
//
// A command has one life: sent at once where the connection stands; else, and after every answer that says "not run"
// (MOVED, ASK, TRYAGAIN, LOADING, ...), tried again until `retryMs` is over. A command that was on its way when its
// connection broke may have run: it is tried again only if its policy says that this does no harm.
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError, PlanError } from '../errors.ts'
import { send, type Client, type ClientSettings } from './client.ts'
import { Connection } from './connection.ts'
import type { Shard, Topology } from './deployment.ts'
import { judge, NotSentError, toConnectError } from './failures.ts'
import { locatePrimary, locateShards, singleShard, type LocatedShard } from './locate.ts'
import { slotCount } from './slots.ts'
import { addressLabel, type Address, type ConnectionUrl } from './url.ts'
import { readServerInfo, type ServerInfo } from './version.ts'

/** The owner of a slot, or one shard by its id. */
export type Target = { readonly slot: number } | { readonly shard: string }

export interface SendPolicy {
  /** Whether the command may be sent again when nobody knows whether it ran. */
  readonly resend: boolean
  readonly signal?: AbortSignal | undefined
}

const nobody = 0xffff
/** Longest wait for a connection before the topology is asked for another owner. */
const ownerPatienceMs = 1000
const longestPauseMs = 500

export class Router {
  readonly #url: ConnectionUrl
  readonly #settings: ClientSettings
  readonly #retryMs: number
  readonly #server: ServerInfo
  /** By label; in a cluster also nodes that only take slots now. */
  readonly #connections = new Map<string, Connection>()
  readonly #slots = new Uint16Array(slotCount).fill(nobody)
  #shards: readonly LocatedShard[] = []
  #owners: readonly Connection[] = []
  #topology: Topology
  #refreshing: Promise<Topology> | undefined
  #turn = 0
  #closed = false

  private constructor(url: ConnectionUrl, settings: ClientSettings, retryMs: number, server: ServerInfo) {
    this.#url = url
    this.#settings = settings
    this.#retryMs = retryMs
    this.#server = server
    const { name, version } = server
    this.#topology = { cluster: server.mode === 'cluster', shards: [], server: { name, version } }
  }

  /** Connects to all shards. Throws `CONNECT_*` within the connect timeout. */
  static async open(url: ConnectionUrl, settings: ClientSettings, retryMs: number): Promise<Router> {
    const seed = await openSeed(url, settings)
    let router: Router | undefined
    try {
      const client = ensureReady(seed)
      const [about, replication] = await Promise.all([
        firstReply(client, ['INFO', 'server'], seed.label),
        firstReply(client, ['INFO', 'replication'], seed.label),
      ])
      const server = readServerInfo(about, seed.label)
      if (server.mode === 'sentinel') {
        throw new ConnectError('CONNECT_URL', `${seed.label} is a Sentinel`, {
          hint: 'Use redis+sentinel://host:port/name, with the name that it has for the primary.',
        })
      }
      // In a cluster any node will do, and Sentinels are asked again when they were behind.
      if (server.mode === 'standalone' && url.kind === 'direct') refuseReplica(replication, seed.label)
      if (server.mode === 'cluster' && url.database !== 0) {
        throw new ConnectError('CONNECT_URL', `a cluster has no database but 0, the URL names ${url.database}`)
      }
      router = new Router(url, settings, retryMs, server)
      router.#connections.set(seed.label, seed)
      const cluster = server.mode === 'cluster'
      router.#apply(cluster ? await locateShards(client, seed.address) : [singleShard(seed.address)])
      if (router.#shards.length === 0)
        throw new ConnectError('CONNECT_REFUSED', `the cluster at ${seed.label} has no slots`)
      await Promise.all(router.#owners.map((owner) => owner.ready(settings.connectTimeoutMs)))
      for (const owner of router.#owners) ensureReady(owner)
      return router
    } catch (error) {
      seed.destroy()
      await router?.close()
      throw toConnectError(error, seed.label)
    }
  }

  get topology(): Topology {
    return this.#topology
  }

  get closed(): boolean {
    return this.#closed
  }

  /** Sends at once if it can; commands of one tick to one shard keep their order and share a round trip. */
  run<T>(target: Target, sending: (client: Client) => Promise<T>, policy: SendPolicy): Promise<T> {
    const signal = policy.signal
    if (signal === undefined) return this.#run(target, sending, policy)
    if (signal.aborted) return Promise.reject(signal.reason)
    return untilAborted(this.#run(target, sending, policy), signal)
  }

  /** Reads the topology again. Concurrent calls share one reading. */
  refresh(): Promise<Topology> {
    this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = undefined))
    return this.#refreshing
  }

  /** As refresh(), for those who try again anyway. */
  async refreshQuietly(): Promise<void> {
    try {
      await this.refresh()
    } catch {
      // The next attempt reads it again.
    }
  }

  /** Where the owner of a slot listens, as far as is known. */
  addressOf(slot: number): Address | undefined {
    return this.#owners[this.#slots[slot] ?? nobody]?.address
  }

  async close(): Promise<void> {
    this.#closed = true
    await Promise.all([...this.#connections.values()].map((connection) => connection.close()))
    this.#connections.clear()
  }

  #run<T>(target: Target, sending: (client: Client) => Promise<T>, policy: SendPolicy): Promise<T> {
    if (!this.#isKnown(target)) return Promise.reject(goneShard(target))
    const client = this.#connection(target)?.client
    if (client === undefined) return this.#runAgain(target, sending, policy, new NotSentError())
    return sending(client).catch((error: unknown) => this.#runAgain(target, sending, policy, error))
  }

  async #runAgain<T>(
    target: Target,
    sending: (client: Client) => Promise<T>,
    policy: SendPolicy,
    first: unknown,
  ): Promise<T> {
    const deadline = performance.now() + this.#retryMs
    let error = first
    for (let attempt = 0; ; attempt++) {
      policy.signal?.throwIfAborted()
      if (this.#closed) throw new ConnectError('CONNECT_CLOSED', 'the connection was closed', { cause: error })
      // The encoder of the client found an argument that is no text and no bytes.
      if (error instanceof TypeError)
        throw new PlanError('PLAN_OPTION', `a Redis command: ${error.message}`, { cause: error })
      const verdict = judge(error)
      if (verdict.kind === 'refused' || (verdict.kind === 'lost' && !policy.resend)) {
        throw toConnectError(error, this.#label(target))
      }
      // A failover gives its shard another id.
      if (!this.#isKnown(target)) throw goneShard(target)
      const left = deadline - performance.now()
      if (left <= 0) throw this.#expired(target, error)
      if (verdict.kind === 'refresh' || (verdict.kind === 'again' && !(error instanceof NotSentError))) {
        await delay(Math.min(5 * 2 ** Math.min(attempt, 10), longestPauseMs, left))
      }
      if (verdict.kind === 'refresh') await this.refreshQuietly()
      let asked: Connection | undefined
      if (verdict.kind === 'moved' || verdict.kind === 'ask') {
        const address = nodeAddress(verdict.address, this.#connection(target)?.address)
        if (verdict.kind === 'ask') asked = this.#connectionTo(address)
        else await this.#follow(verdict.slot, address, attempt)
      }
      const connection = asked ?? this.#connection(target)
      if (connection?.client === undefined) {
        if (connection === undefined) await delay(Math.min(longestPauseMs, left))
        else await connection.ready(Math.min(ownerPatienceMs, left))
        if (connection?.client === undefined) {
          await this.refreshQuietly()
          error = new NotSentError(connection?.lastError ?? error)
          continue
        }
      }
      try {
        // Both are written in one go, so nothing comes between them.
        if (asked !== undefined) void send(connection.client, ['ASKING']).catch(() => {})
        return await sending(connection.client)
      } catch (failure) {
        error = failure
      }
    }
  }

  #expired(target: Target, error: unknown): ConnectError {
    const where = this.#label(target)
    const cause = error instanceof NotSentError ? error.cause : error
    const why = cause instanceof Error ? `: ${cause.message}` : ''
    if (cause instanceof ConnectError && cause.code === 'CONNECT_AUTH') return cause
    return new ConnectError('CONNECT_LOST', `${where} took no command for ${this.#retryMs} ms${why}`, { cause })
  }

  #connection(target: Target): Connection | undefined {
    if ('slot' in target) return this.#owners[this.#slots[target.slot] ?? nobody]
    return this.#owners[this.#shards.findIndex(({ shard }) => shard.id === target.shard)]
  }

  #isKnown(target: Target): boolean {
    return 'slot' in target || this.#shards.some(({ shard }) => shard.id === target.shard)
  }

  #label(target: Target): string {
    return this.#connection(target)?.label ?? 'the server'
  }

  #connectionTo(address: Address): Connection {
    const label = addressLabel(address)
    let connection = this.#connections.get(label)
    if (connection === undefined) {
      connection = Connection.start(address, this.#settings)
      this.#connections.set(label, connection)
    }
    return connection
  }

  /** Believes a MOVED for its slot, and reads the whole table: where one slot went, others may have gone. */
  async #follow(slot: number, address: Address, attempt: number): Promise<void> {
    if (attempt > 3) await delay(longestPauseMs / 5)
    const label = addressLabel(address)
    const index = this.#owners.findIndex((owner) => owner.label === label)
    if (index >= 0 && this.#slots[slot] !== index) {
      this.#slots[slot] = index
      void this.refreshQuietly()
    } else await this.refreshQuietly()
  }

  async #refresh(): Promise<Topology> {
    if (this.#closed) throw new ConnectError('CONNECT_CLOSED', 'the connection was closed')
    if (this.#url.kind === 'sentinel') {
      this.#apply([singleShard(await locatePrimary(this.#url, this.#settings))])
    } else if (this.#server.mode === 'cluster') this.#apply(await this.#askNodes())
    return this.#topology
  }

  /** The slot table, from the first node that answers. */
  async #askNodes(): Promise<LocatedShard[]> {
    let failure: unknown
    // Each time another one first: one that was cut off from the others does not know what it does not know.
    const connections = [...this.#connections.values()]
    const start = this.#turn++ % Math.max(1, connections.length)
    for (const connection of [...connections.slice(start), ...connections.slice(0, start)]) {
      const client = connection.client
      if (client === undefined) continue
      try {
        const located = await within(ownerPatienceMs, locateShards(client, connection.address), connection.label)
        if (located.length > 0) return located
      } catch (error) {
        failure = error
      }
    }
    for (const address of this.#url.addresses) {
      let seed: Connection | undefined
      try {
        seed = await Connection.open(address, this.#settings)
        const located = await locateShards(ensureReady(seed), address)
        if (located.length > 0) return located
      } catch (error) {
        failure = error
      } finally {
        seed?.destroy()
      }
    }
    throw toConnectError(failure, this.#url.addresses.map(addressLabel).join(', '))
  }

  /** Makes `located` the topology: keeps connections that are still right, opens and closes others. */
  #apply(located: readonly LocatedShard[]): void {
    if (this.#closed || (located.length === 0 && this.#shards.length > 0)) return
    this.#shards = located
    const owners = located.map(({ address }) => this.#connectionTo(address))
    this.#owners = owners
    this.#slots.fill(nobody)
    for (const [index, { shard }] of located.entries()) {
      for (const [first, last] of shard.slots) this.#slots.fill(index, first, last + 1)
    }
    for (const [label, connection] of this.#connections) {
      if (owners.includes(connection)) continue
      this.#connections.delete(label)
      void connection.close()
    }
    const shards: readonly Shard[] = located.map(({ shard }) => shard)
    this.#topology = { cluster: this.#server.mode === 'cluster', shards, server: this.#topology.server }
  }
}

async function openSeed(url: ConnectionUrl, settings: ClientSettings): Promise<Connection> {
  const [address] = url.kind === 'sentinel' ? [await locatePrimary(url, settings)] : url.addresses
  if (address === undefined) throw new ConnectError('CONNECT_URL', 'the URL names no host')
  return Connection.open(address, settings)
}

async function firstReply(client: Client, args: readonly string[], where: string): Promise<string> {
  try {
    const reply = await send(client, args)
    return typeof reply === 'string' ? reply : ''
  } catch (error) {
    throw toConnectError(error, where)
  }
}

/** `host:port` of a redirection. A node that does not know its own host leaves it out: then it is the one that was asked. */
function nodeAddress(text: string, asked: Address | undefined): Address {
  const colon = text.lastIndexOf(':')
  const host = text.slice(0, colon)
  const port = Number(text.slice(colon + 1))
  if (host !== '') return { host, port }
  return { host: asked !== undefined && 'host' in asked ? asked.host : '127.0.0.1', port }
}

async function within<T>(ms: number, promise: Promise<T>, where: string): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    const error = new ConnectError('CONNECT_LOST', `${where} did not answer within ${ms} ms`)
    timer = setTimeout(() => reject(error), ms)
  })
  try {
    return await Promise.race([promise, late])
  } finally {
    clearTimeout(timer)
  }
}

function goneShard(target: Target): ConnectError {
  const id = 'shard' in target ? target.shard : target.slot
  return new ConnectError('CONNECT_LOST', `there is no shard '${id}' any more`, { hint: 'Read the topology again.' })
}

function refuseReplica(replication: string, where: string): void {
  if (!/^role:slave/m.test(replication)) return
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\r?$`, 'm').exec(replication)?.[1] ?? '?'
  throw new ConnectError('CONNECT_URL', `${where} is a replica, which takes no writes`, {
    hint: `Connect to its primary, ${field('master_host')}:${field('master_port')}.`,
  })
}

function ensureReady(connection: Connection): Client {
  const client = connection.client
  if (client !== undefined) return client
  throw connection.lastError ?? new ConnectError('CONNECT_REFUSED', `${connection.label} does not answer`)
}

/** What waits stops waiting when the signal comes; what was sent goes its way. */
export function untilAborted<T>(promise: Promise<T>, signal: AbortSignal): Promise<T> {
  return new Promise((resolve, reject) => {
    const onAbort = (): void => reject(signal.reason)
    signal.addEventListener('abort', onAbort, { once: true })
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', onAbort))
  })
}
