// shards(): one record for each primary.
import type { Deployment } from '../../redis/deployment.ts'
import { defineReader } from '../define.ts'

/** One primary of the deployment; a server that is no cluster is one. */
export interface ShardInfo {
  readonly id: string
  /** Host, or the path of a unix socket. */
  readonly host: string
  /** 0 with a unix socket. */
  readonly port: number
}

export async function shardsOf(deployment: Deployment): Promise<ShardInfo[]> {
  const { shards } = await deployment.refresh()
  return shards.map(({ id, host, port }) => ({ id, host, port }))
}

export const shards = defineReader({
  name: 'shards',
  describe: () => 'shards()',
  splits: async (_options: Record<string, never>, { deployment }) => {
    const found = await shardsOf(deployment)
    return { count: found.length, data: found, records: found.length }
  },
  async *read(_options, { index, data }) {
    const shard = (data as readonly ShardInfo[])[index] as ShardInfo
    yield { batch: { kind: 'records', records: [shard] }, place: () => `shard ${shard.id}` }
  },
})
