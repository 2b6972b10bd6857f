// What a primary says of its history.
import type { Deployment, Shard } from '../../redis/deployment.ts'
import { textOf } from '../../redis/replies.ts'
import { parseUrl, type Address } from '../../redis/url.ts'

export interface Replication {
  readonly replid: string
  /** The history that it went on with when it became a primary. */
  readonly before: string
  readonly offset: number
}

export async function replicationOf(deployment: Deployment, shard: string): Promise<Replication> {
  const info = textOf(await deployment.onShard(shard, ['INFO', 'replication']))
  const field = (name: string): string => new RegExp(`^${name}:(.*?)\\r?$`, 'm').exec(info)?.[1] ?? ''
  return {
    replid: field('master_replid'),
    before: field('master_replid2'),
    offset: Number(field('master_repl_offset')),
  }
}

/** Where a connection of its own to a primary goes. */
export function addressOf(deployment: Deployment, { host, port }: Shard): Address {
  const [first] = parseUrl(deployment.url).addresses
  return first !== undefined && 'path' in first && !deployment.topology.cluster ? first : { host, port }
}
