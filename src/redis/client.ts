// The client library (node-redis), set up for Gearmill. What other files of this folder know of it goes through here.
import { createClient, RESP_TYPES, type RedisClientType } from '@redis/client'
import type { ConnectionOptions } from 'node:tls'
import type { Argument, CallOptions, Reply } from './deployment.ts'
import type { Address, Credentials } from './url.ts'

export type Client = RedisClientType

/** How to talk to a server, whatever its address. */
export interface ClientSettings {
  readonly credentials: Credentials
  readonly database: number
  /** TLS options for rediss://; false: no TLS. */
  readonly tls: TlsOptions | false
  /** Shown by CLIENT LIST. */
  readonly name: string
  /** Longest time to open a socket, in milliseconds. */
  readonly connectTimeoutMs: number
  /** Longest silence of a server before the connection counts as broken, in milliseconds. */
  readonly socketTimeoutMs: number
}

export type TlsOptions = Pick<ConnectionOptions, 'ca' | 'cert' | 'key' | 'rejectUnauthorized' | 'servername'>

/** A client that does not connect again by itself, keeps no queue while it is offline, and sets no timer per command. */
export function makeClient(address: Address, settings: ClientSettings): Client {
  const { credentials, tls } = settings
  const timing = {
    connectTimeout: settings.connectTimeoutMs,
    socketTimeout: settings.socketTimeoutMs,
    reconnectStrategy: false,
  } as const
  const socket =
    'path' in address
      ? { ...timing, path: address.path, tls: false as const }
      : tls === false
        ? { ...timing, host: address.host, port: address.port }
        : { ...timing, ...tls, host: address.host, port: address.port, tls: true as const }
  return createClient({
    ...credentials,
    RESP: 3,
    socket,
    database: settings.database,
    name: settings.name,
    disableOfflineQueue: true,
    // A default timeout would cost an AbortSignal per command.
    commandOptions: { timeout: 0 },
    // A silent connection must be told from a dead one.
    pingInterval: Math.floor(settings.socketTimeoutMs / 3),
    // Both are unknown to servers of the oldest supported version.
    disableClientInfo: true,
    maintNotifications: 'disabled',
  })
}

const textReplies = { typeMapping: { [RESP_TYPES.MAP]: Map, [RESP_TYPES.BIG_NUMBER]: String } }
/** Keys of a Map would be decoded as text, so maps arrive flat where bytes matter. */
const binaryReplies = {
  typeMapping: { [RESP_TYPES.BLOB_STRING]: Buffer, [RESP_TYPES.MAP]: Array, [RESP_TYPES.BIG_NUMBER]: String },
}

/** Sends one raw command. The signal is not passed on: whoever waits stops waiting, the command goes its way. */
export function send(client: Client, args: readonly (string | Buffer)[], options?: CallOptions): Promise<Reply> {
  return client.sendCommand<Reply>(args, options?.binary === true ? binaryReplies : textReplies)
}

/** Arguments as the protocol encoder takes them. */
export function encode(args: readonly Argument[]): (string | Buffer)[] {
  return args.map((arg) => {
    if (typeof arg === 'string' || Buffer.isBuffer(arg)) return arg
    if (typeof arg === 'number') return String(arg)
    return Buffer.from(arg.buffer, arg.byteOffset, arg.byteLength)
  })
}
