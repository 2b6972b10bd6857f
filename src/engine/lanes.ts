// The lanes of a deployment for one worker group.
import type { Deployment } from '../redis/deployment.ts'
import { laneTags } from '../redis/lanes.ts'
import { laneKeys, type LaneKeys } from './keys.ts'

export function lanesOf(deployment: Deployment, namespace: string, group: string): LaneKeys[] {
  return laneTags(deployment, deployment.topology).map((tag) => laneKeys(namespace, tag, group))
}
