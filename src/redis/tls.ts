// TLS for rediss:// URLs. It comes with the first connection that has it: a process of Node loads few things that take longer.
import type { ConnectionOptions, TLSSocket } from 'node:tls'

export function connectTls(options: ConnectionOptions): TLSSocket {
  return process.getBuiltinModule('node:tls').connect(options)
}
