// Lanes: hash tags `gm0`, `gm1`, ... so chosen that every shard holds at least one; `gm0` is always among them.
import type { Deployment, Topology } from './deployment.ts'

/** The tags of a topology, `gm0` first. The same topology gives the same tags to everyone. */
export function laneTags(deployment: Pick<Deployment, 'slotOf'>, topology: Topology): string[] {
  const tags = ['gm0']
  if (!topology.cluster) return tags
  const shardOf = (tag: string): string | undefined => {
    const slot = deployment.slotOf(`{${tag}}`)
    return topology.shards.find((shard) => shard.slots.some(([from, to]) => from <= slot && slot <= to))?.id
  }
  const missing = new Set(topology.shards.filter((shard) => shard.slots.length > 0).map((shard) => shard.id))
  missing.delete(shardOf('gm0') ?? '')
  for (let n = 1; missing.size > 0 && n < 100_000; n++) {
    const shard = shardOf(`gm${n}`)
    if (shard !== undefined && missing.delete(shard)) tags.push(`gm${n}`)
  }
  return tags
}
