// Which streams of a pattern there are.
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, textOf } from '../../redis/replies.ts'

const keysTogether = 1000

/** Reads the keyspace of every shard once; in no order. Gearmill's own streams are none of them. */
export async function findStreams(deployment: Deployment, pattern: string, namespace: string): Promise<string[]> {
  const found = new Set<string>()
  for (const { id } of deployment.topology.shards) {
    let cursor = '0'
    do {
      const scan = ['SCAN', cursor, 'MATCH', pattern, 'COUNT', keysTogether, 'TYPE', 'stream']
      const [next, keys] = itemsOf(await deployment.onShard(id, scan))
      cursor = textOf(next)
      for (const key of itemsOf(keys).map(textOf)) if (!key.startsWith(`${namespace}:{gm`)) found.add(key)
    } while (cursor !== '0')
  }
  return [...found]
}
