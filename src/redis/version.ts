// What server this is, from its INFO: name, version, and whether it is new enough.
import { ConnectError } from '../errors.ts'

export interface ServerInfo {
  readonly name: 'redis' | 'valkey'
  readonly version: readonly [number, number, number]
  readonly mode: 'standalone' | 'cluster' | 'sentinel'
}

const oldest = { redis: [7, 0], valkey: [7, 2] } as const

/** Reads the reply of `INFO server`. Throws `CONNECT_VERSION` for a server older than Redis 7.0 or Valkey 7.2. */
export function readServerInfo(info: string, where: string): ServerInfo {
  const fields = new Map<string, string>()
  for (const line of info.split(/\r?\n/)) {
    const colon = line.indexOf(':')
    if (colon > 0) fields.set(line.slice(0, colon), line.slice(colon + 1))
  }
  // Valkey keeps a redis_version for old clients.
  const valkey = fields.get('valkey_version')
  const name = valkey !== undefined || fields.get('server_name') === 'valkey' ? 'valkey' : 'redis'
  const text = valkey ?? fields.get('redis_version') ?? ''
  const [major = 0, minor = 0, patch = 0] = text.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0)
  const [oldestMajor, oldestMinor] = oldest[name]
  if (major < oldestMajor || (major === oldestMajor && minor < oldestMinor)) {
    const shown = text === '' ? 'of an unknown version' : text
    throw new ConnectError('CONNECT_VERSION', `${where} is ${name} ${shown}, older than ${oldestMajor}.${oldestMinor}`)
  }
  const mode = fields.get('redis_mode') ?? fields.get('server_mode')
  return {
    name,
    version: [major, minor, patch],
    mode: mode === 'cluster' || mode === 'sentinel' ? mode : 'standalone',
  }
}
