// Counters of user code: a hash in each lane, to which commits add (see commit.lua). Their sum over the lanes is the value.
import type { Deployment } from '../redis/deployment.ts'
import { textOf } from '../redis/replies.ts'
import type { LaneKeys } from './keys.ts'

/** The sum of what committed tasks have counted. */
export async function counterValue(deployment: Deployment, lanes: readonly LaneKeys[], name: string): Promise<number> {
  const parts = await Promise.all(
    lanes.map(async ({ counters }) =>
      Number(textOf(await deployment.command(counters, ['HGET', counters, name])) || 0),
    ),
  )
  return parts.reduce((sum, part) => sum + part, 0)
}
