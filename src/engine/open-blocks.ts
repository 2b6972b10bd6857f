// The block store that a configuration asks for.
import { FileBlocks } from '../blocks/file-blocks.ts'
import { RedisBlocks } from '../blocks/redis-blocks.ts'
import type { BlockStore } from '../blocks/store.ts'
import type { Deployment } from '../redis/deployment.ts'
import type { BlocksConfig } from './protocol.ts'

export function openBlocks(config: BlocksConfig, deployment: Deployment, namespace: string): BlockStore {
  return config.kind === 'files'
    ? new FileBlocks(config.dir)
    : new RedisBlocks(deployment, namespace, { ttlMs: config.ttlMs })
}
