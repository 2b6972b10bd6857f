// Connection URLs: redis://, rediss://, redis+unix:// and redis+sentinel://.
import { ConnectError } from '../errors.ts'

/** Where one server listens. */
export type Address = { readonly host: string; readonly port: number } | { readonly path: string }

export interface Credentials {
  readonly username?: string
  readonly password?: string
}

export interface ConnectionUrl {
  /** `direct`: a server, or any node of a cluster. */
  readonly kind: 'direct' | 'sentinel'
  /** One for `direct`, one or more Sentinels for `sentinel`. */
  readonly addresses: readonly Address[]
  /** Of the data servers. */
  readonly credentials: Credentials
  /** Of the Sentinels themselves: `?sentinelUsername=` and `?sentinelPassword=`. */
  readonly sentinelCredentials: Credentials
  readonly tls: boolean
  readonly database: number
  /** What the Sentinels call the primary; empty for `direct`. */
  readonly primaryName: string
}

const defaultPort = 6379
const defaultSentinelPort = 26379

/**
 * Reads a connection URL:
 * `redis://[user:password@]host[:port][/db]`, the same with `rediss://` (TLS),
 * `redis+unix://[user:password@]/path[?db=0&password=...]`,
 * `redis+sentinel://[user:password@]host[:port][,host[:port]...]/name[/db][?sentinelPassword=...]`.
 *
 * Throws `CONNECT_URL`; no message holds a password.
 */
export function parseUrl(url: string): ConnectionUrl {
  const match = /^([a-z+]+):\/\/(?:([^@/?#]*)@)?([^/?#]*)([^?#]*)(?:\?([^#]*))?$/i.exec(url)
  if (match === null) throw refused(url, 'it is not a URL')
  const [, scheme = '', userInfo = '', hosts = '', path = '', query = ''] = match
  const parameters = new URLSearchParams(query)
  if ([...parameters.keys()].some((name) => name.includes('@'))) throw refused(url, 'there is an @ behind the ?')
  const colon = userInfo.indexOf(':')
  const credentials = {
    ...given('username', decode(url, colon < 0 ? userInfo : userInfo.slice(0, colon)) || parameters.get('username')),
    ...given('password', (colon < 0 ? '' : decode(url, userInfo.slice(colon + 1))) || parameters.get('password')),
  }
  const base = { kind: 'direct', credentials, sentinelCredentials: {}, tls: false, primaryName: '' } as const
  switch (scheme.toLowerCase()) {
    case 'redis':
    case 'rediss': {
      const database = databaseOf(url, path.slice(1) || parameters.get('db'))
      const tls = scheme.toLowerCase() === 'rediss'
      return { ...base, tls, database, addresses: [hostAndPort(url, hosts, defaultPort)] }
    }
    case 'redis+unix': {
      if (hosts !== '' || path.length < 2) throw refused(url, 'expected redis+unix:///path/to/socket')
      return { ...base, database: databaseOf(url, parameters.get('db')), addresses: [{ path: decode(url, path) }] }
    }
    case 'redis+sentinel': {
      const [name = '', database = '', ...more] = path.slice(1).split('/')
      if (name === '' || more.length > 0) throw refused(url, 'expected redis+sentinel://host,host/name')
      return {
        ...base,
        kind: 'sentinel',
        primaryName: decode(url, name),
        database: databaseOf(url, database || parameters.get('db')),
        addresses: hosts.split(',').map((host) => hostAndPort(url, host, defaultSentinelPort)),
        sentinelCredentials: {
          ...given('username', parameters.get('sentinelUsername')),
          ...given('password', parameters.get('sentinelPassword')),
        },
      }
    }
    default:
      throw refused(url, `the scheme ${scheme}: is not known`)
  }
}

/** Up to the last @ there may be a password, also where it was not escaped and the URL is read otherwise or not at all. */
const beforeLastAt = /^(?![a-z+]+:\/\/\/)((?:[a-z+]+:\/{1,2})?)(.*)@/is

/** The URL without what is secret, for messages and logs. */
export function redactUrl(url: string): string {
  return url
    .replaceAll(/([?&](?:sentinelP|p)assword=)[^&]*/gi, '$1***')
    .replace(beforeLastAt, (_, scheme: string, userInfo: string) => {
      const end = userInfo.search(/[:/?#@]/)
      return `${scheme}${end < 0 ? userInfo : `${userInfo.slice(0, end)}:***`}@`
    })
}

/** `host:port` or the path of the socket. */
export function addressLabel(address: Address): string {
  if ('path' in address) return address.path
  return `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
}

function hostAndPort(url: string, text: string, standardPort: number): Address {
  const match = /^(\[[0-9a-f:.]+\]|[^:[\]\s@]+)?(?::(\d+))?$/i.exec(text)
  if (match === null) throw refused(url, 'expected host or host:port', text)
  const port = match[2] === undefined ? standardPort : Number(match[2])
  if (port < 1 || port > 65535) throw refused(url, `the port ${port} is not between 1 and 65535`)
  return { host: (match[1] ?? 'localhost').replaceAll(/^\[|\]$/g, ''), port }
}

function databaseOf(url: string, text: string | null): number {
  if (text === null || text === '') return 0
  if (!/^\d+$/.test(text)) throw refused(url, 'expected a database number', text)
  return Number(text)
}

function decode(url: string, text: string): string {
  try {
    return decodeURIComponent(text)
  } catch {
    throw refused(url, 'a % in it starts no escape (write %25 for a percent sign)')
  }
}

function given<Name extends string>(name: Name, value: string | null): Partial<Record<Name, string>> {
  if (value === null || value === '') return {}
  const entry: Partial<Record<Name, string>> = {}
  entry[name] = value
  return entry
}

/** What came is only said where it is no part of what is secret. */
function refused(url: string, why: string, got?: string): ConnectError {
  const shown = redactUrl(url)
  const message = `cannot use ${shown}: ${why}${got !== undefined && shown.includes(got) ? `, got '${got}'` : ''}`
  if (!/[/?#@]/.test(beforeLastAt.exec(url)?.[2] ?? '')) return new ConnectError('CONNECT_URL', message)
  const hint = 'In a user or password write %23 for #, %2F for /, %3F for ?, %40 for @.'
  return new ConnectError('CONNECT_URL', message, { hint })
}
