// Where the shards are now: one fixed address, what the Sentinels say, or what the nodes of a cluster say.
import { ConnectError } from '../errors.ts'
import { send, type Client, type ClientSettings } from './client.ts'
import { Connection } from './connection.ts'
import type { Reply, Shard } from './deployment.ts'
import { toConnectError } from './failures.ts'
import { slotCount } from './slots.ts'
import { addressLabel, type Address, type ConnectionUrl } from './url.ts'

export interface LocatedShard {
  readonly shard: Shard
  readonly address: Address
}

const allSlots = [[0, slotCount - 1]] as const

/** The one shard of a server that is no cluster. */
export function singleShard(address: Address): LocatedShard {
  const place = 'path' in address ? { host: address.path, port: 0 } : address
  return { shard: { id: addressLabel(address), ...place, slots: allSlots }, address }
}

/** Asks the Sentinels, one after the other, for the primary's address. */
export async function locatePrimary(url: ConnectionUrl, settings: ClientSettings): Promise<Address> {
  let failure: unknown
  for (const sentinel of url.addresses) {
    try {
      const own = { ...settings, credentials: url.sentinelCredentials, database: 0 }
      const connection = await Connection.open(sentinel, own)
      try {
        const client = connection.client
        if (client === undefined) continue
        const reply = await send(client, ['SENTINEL', 'GET-MASTER-ADDR-BY-NAME', url.primaryName])
        if (Array.isArray(reply) && typeof reply[0] === 'string') return { host: reply[0], port: Number(reply[1]) }
        failure = new ConnectError('CONNECT_URL', `the Sentinel at ${connection.label} knows no '${url.primaryName}'`)
      } finally {
        connection.destroy()
      }
    } catch (error) {
      const isServer = error instanceof Error && /unknown command .?SENTINEL/i.test(error.message)
      const why = `${addressLabel(sentinel)} is no Sentinel: redis:// connects to servers themselves`
      failure = isServer ? new ConnectError('CONNECT_URL', why) : error
    }
  }
  throw toConnectError(failure, url.addresses.map(addressLabel).join(', '))
}

/** Reads the slot table from one node of a cluster. `asked` is the host that the node was reached by. */
export async function locateShards(client: Client, asked: Address): Promise<LocatedShard[]> {
  const reply = await send(client, ['CLUSTER', 'SLOTS'])
  return readSlots(reply, 'path' in asked ? '127.0.0.1' : asked.host)
}

/** The shards in a reply of `CLUSTER SLOTS`, in the order of their first slot. */
export function readSlots(reply: Reply, askedHost: string): LocatedShard[] {
  const shards = new Map<string, { host: string; port: number; slots: [number, number][] }>()
  const ranges = Array.isArray(reply) ? reply.filter((range) => Array.isArray(range)) : []
  ranges.sort((a, b) => Number(a[0]) - Number(b[0]))
  for (const [first, last, primary] of ranges) {
    if (!Array.isArray(primary)) continue
    const id = typeof primary[2] === 'string' ? primary[2] : ''
    const range: [number, number] = [Number(first), Number(last)]
    const known = shards.get(id)
    if (known !== undefined) known.slots.push(range)
    else {
      // A node that does not know its own address leaves it out.
      const host = typeof primary[0] === 'string' && primary[0] !== '' && primary[0] !== '?' ? primary[0] : askedHost
      shards.set(id, { host, port: Number(primary[1]), slots: [range] })
    }
  }
  return Array.from(shards, ([id, { host, port, slots }]) => ({
    shard: { id, host, port, slots },
    address: { host, port },
  }))
}
