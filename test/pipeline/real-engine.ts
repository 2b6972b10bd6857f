// Pipelines on a real server with real executors.
import { temporaryBlocks } from '../../src/blocks/temporary-blocks.ts'
import { EngineClient } from '../../src/engine/client.ts'
import { GroupEvents } from '../../src/engine/events.ts'
import type { ExecutionHandle } from '../../src/engine/execution.ts'
import { silent } from '../../src/engine/logger.ts'
import { lanesOf, startWorker } from '../../src/engine/worker.ts'
import { Readers } from '../../src/pipeline/readers.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Argument, Deployment, Reply } from '../../src/redis/deployment.ts'

export interface RealEngine extends AsyncDisposable {
  readonly read: Readers
  readonly deployment: Deployment
  readonly namespace: string
  /** An execution by its id. */
  find(id: string): Promise<ExecutionHandle>
  command(...args: [string, string, ...Argument[]]): Promise<Reply>
  /** Keys of a pattern, on all shards. */
  keys(pattern: string): Promise<string[]>
}

let engines = 0

/** @param spillBytes what tables and sorts of a task may take before they are spilled */
export async function realEngine(url: string, executors: number, spillBytes?: number): Promise<RealEngine> {
  const namespace = `p${process.pid}.${engines++}`
  const group = 'remote'
  const deployment = await connectDeployment(url)
  const events = new GroupEvents(deployment)
  const lanes = lanesOf(deployment, namespace, group)
  await Promise.all(lanes.map((lane) => events.follow(lane)))
  const files = await temporaryBlocks()
  const client = new EngineClient({
    deployment,
    namespace,
    group,
    lanes,
    blocks: files,
    events,
    known: new Map(),
    local: undefined,
    jobs: { maxAttempts: 3, timeoutMs: 60_000 },
    secret: undefined,
  })
  const worker = await startWorker({
    deployment,
    namespace,
    group,
    executors,
    // Longer than the event loop of this process may stall: it is client and worker, of dozens of pipelines at a time.
    leaseMs: 10_000,
    spillBytes,
    blocks: { kind: 'files', dir: files.dir },
    modules: { runners: { pipeline: new URL('../../dist/pipeline/runner.js', import.meta.url).href } },
    base: import.meta.url,
    logger: process.env.GEARMILL_TEST_LOG === undefined ? silent : console,
    console: () => undefined,
    events,
  })
  return {
    read: new Readers({ engine: client }),
    deployment,
    namespace,
    async find(id) {
      const handle = await client.find(id)
      if (handle === undefined) throw new Error(`no execution ${id}`)
      return handle
    },
    command: (name, key, ...args) => deployment.command(key, [name, key, ...args]),
    async keys(pattern) {
      const found: string[] = []
      for (const { id } of deployment.topology.shards) {
        let cursor = '0'
        do {
          const reply = (await deployment.onShard(id, ['SCAN', cursor, 'MATCH', pattern, 'COUNT', 1000])) as [
            string,
            string[],
          ]
          cursor = reply[0]
          found.push(...reply[1])
        } while (cursor !== '0')
      }
      return found.sort()
    },
    async [Symbol.asyncDispose]() {
      await worker.drain(0)
      await client.close()
      await events.close()
      await files.close()
      await deployment.close()
    },
  }
}
