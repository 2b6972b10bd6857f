// What `mill` is inside of shipped functions: the executor's own, on the executor's own connection.
import type { Deployment } from '../redis/deployment.ts'
import { userRedis, type UserRedis } from '../redis/user.ts'

/** The part of a mill that functions have in executors. */
export interface ExecutorMill {
  readonly redis: UserRedis
}

export default function known(deployment: Deployment): ReadonlyMap<string, unknown> {
  const redis = userRedis(deployment)
  const mill: ExecutorMill = Object.freeze({ redis })
  return new Map<string, unknown>([
    ['mill', mill],
    ['mill.redis', redis],
  ])
}
