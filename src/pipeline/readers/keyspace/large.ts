// Whether a server can hold strings that are too large for one reply. Asking for the length of each would cost as much as
// reading it; what the memory of the server says is free. Where all of its keys together are about as large as so many keys
// as a random one would be, no room is left for a large string.
import { ConnectError } from '../../../errors.ts'
import type { Deployment } from '../../../redis/deployment.ts'
import { numberOf, textOf } from '../../../redis/replies.ts'

/** A string of up to this size may come in one reply with others. */
const largestReply = 64 * 1024 * 1024
const samples = 128
/** Random keys count up to so many times the median, so that one large value does not speak for others. */
const mostOfMedian = 4
/** What a sample may be off. */
const doubt = 0.85

export async function mayHoldLarge(deployment: Deployment, shard: string): Promise<boolean> {
  const [memory, size] = await Promise.all([
    deployment.onShard(shard, ['INFO', 'memory']),
    deployment.onShard(shard, ['DBSIZE']),
  ])
  const dataset = Number(/^used_memory_dataset:(\d+)/m.exec(textOf(memory))?.[1] ?? Infinity)
  if (dataset <= largestReply) return false
  const keys = await Promise.all(Array.from({ length: samples }, () => deployment.onShard(shard, ['RANDOMKEY'])))
  const sizes = await Promise.all(keys.flatMap((key) => (key === null ? [] : [sizeOf(deployment, shard, textOf(key))])))
  const known = sizes.filter((bytes) => bytes > 0)
  known.sort((a, b) => a - b)
  const median = known[known.length >> 1]
  if (median === undefined) return true
  const sum = known.reduce((total, bytes) => total + Math.min(bytes, median * mostOfMedian), 0)
  return dataset - doubt * numberOf(size) * (sum / known.length) > largestReply
}

/** 0 where the key is gone, or none that the user may read. */
async function sizeOf(deployment: Deployment, shard: string, key: string): Promise<number> {
  try {
    return numberOf(await deployment.onShard(shard, ['MEMORY', 'USAGE', key]))
  } catch (error) {
    if (error instanceof ConnectError && error.code === 'CONNECT_PERMISSION') return 0
    throw error
  }
}
