// The named commands of node-redis over our own connections: its names, types and shapes of replies, not its sockets. The
// library is large, so it is loaded when the first command is called by its name.
import type { RedisClientType } from '@redis/client'
import { createRequire } from 'node:module'
import { sendPlain, type Client } from './client.ts'
import type { RequestArgument } from './protocol/request.ts'

/** What has a method for each command. */
export type NamedCommands = RedisClientType

let library: typeof import('@redis/client') | undefined
const named = new WeakMap<Client, NamedCommands>()

export function namedCommands(client: Client): NamedCommands {
  let commands = named.get(client)
  if (commands === undefined) {
    library ??= createRequire(import.meta.url)('@redis/client') as typeof import('@redis/client')
    // It never connects: all its commands end in sendCommand(). What createClient() gives stands in front of the client
    // proper, which is where commands look for it.
    commands = library.createClient({ RESP: 3 })
    const sendCommand = (args: readonly RequestArgument[]): Promise<unknown> => sendPlain(client, args)
    Object.defineProperty(Object.getPrototypeOf(commands), 'sendCommand', { value: sendCommand })
    named.set(client, commands)
  }
  return commands
}
