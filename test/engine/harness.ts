// A client and workers of the engine alone, on a server that the test names.
import { decodeRecords } from '../../src/codec/frames.ts'
import { temporaryBlocks } from '../../src/blocks/temporary-blocks.ts'
import { EngineClient } from '../../src/engine/client.ts'
import { GroupEvents } from '../../src/engine/events.ts'
import type { ExecutionHandle, SubmitOptions } from '../../src/engine/execution.ts'
import { silent } from '../../src/engine/logger.ts'
import { openBlocks } from '../../src/engine/open-blocks.ts'
import type { BlocksConfig, Fault } from '../../src/engine/protocol.ts'
import type { Failure } from '../../src/engine/runner.ts'
import { lanesOf, startWorker, type Worker } from '../../src/engine/worker.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import type { Deployment } from '../../src/redis/deployment.ts'

export interface NumbersStage {
  readonly kind: 'numbers'
  readonly tasks: number
  readonly records: number
  readonly batch?: number
  readonly partitions?: number
  readonly effects?: readonly (readonly string[])[]
  readonly bad?: Readonly<Record<number, 'exit' | 'kill' | 'hang' | 'grow' | 'throw' | 'fail'>>
  readonly sleepMs?: number
}

export interface SumsStage {
  readonly kind: 'sums'
  readonly tasks: number
  readonly from: number
}

export interface Harness extends AsyncDisposable {
  readonly deployment: Deployment
  readonly client: EngineClient
  readonly workers: Worker[]
  readonly namespace: string
  addWorker(fault?: Fault): Promise<Worker>
  submit(stages: readonly (NumbersStage | SumsStage)[], options?: SubmitOptions): Promise<ExecutionHandle>
  /** Every key under the namespace, on all shards. */
  keys(): Promise<string[]>
}

export interface HarnessOptions {
  readonly url: string
  readonly workers?: number
  readonly executors?: number
  readonly leaseMs?: number
  readonly fault?: Fault
  readonly blocks?: 'files' | 'redis'
  readonly local?: boolean
  readonly executorMemoryMb?: number
}

let runs = 0

export async function harness(options: HarnessOptions): Promise<Harness> {
  const { executors = 2, leaseMs = 10_000, local = false } = options
  const namespace = `t${process.pid}.${runs++}`
  const group = local ? 'local-test' : 'remote'
  const deployment = await connectDeployment(options.url)
  const events = new GroupEvents(deployment)
  const lanes = lanesOf(deployment, namespace, group)
  await Promise.all(lanes.map((lane) => events.follow(lane)))
  const files = options.blocks === 'redis' ? undefined : await temporaryBlocks()
  const blocks: BlocksConfig = files ? { kind: 'files', dir: files.dir } : { kind: 'redis', ttlMs: 600_000 }
  const client = new EngineClient({
    deployment,
    namespace,
    group,
    lanes,
    blocks: files ?? openBlocks(blocks, deployment, namespace),
    events,
    known: new Map(),
    local: local ? { executors, leaseMs } : undefined,
    jobs: { maxAttempts: 3, timeoutMs: 60_000 },
    secret: undefined,
  })
  const workers: Worker[] = []
  const addWorker = async (fault?: Fault): Promise<Worker> => {
    const worker = await startWorker({
      deployment,
      namespace,
      group,
      executors,
      leaseMs,
      executorMemoryMb: options.executorMemoryMb,
      blocks,
      modules: { runners: { test: new URL('./runner.mjs', import.meta.url).href } },
      base: import.meta.url,
      logger: process.env.GEARMILL_TEST_LOG ? console : silent,
      console: () => undefined,
      fault,
      events,
    })
    workers.push(worker)
    return worker
  }
  for (let i = 0; i < (options.workers ?? 1); i++) await addWorker(options.fault)

  return {
    deployment,
    client,
    workers,
    namespace,
    addWorker,
    submit(stages, submitOptions) {
      const specs = stages.map((stage) => ({
        tasks: stage.tasks,
        partitions: stage.kind === 'sums' ? 1 : (stage.partitions ?? 0),
        inputs: stage.kind === 'sums' ? [stage.from] : [],
      }))
      const program = new TextEncoder().encode(JSON.stringify({ stages }))
      return client.submit({ kind: 'test', program, stages: specs }, submitOptions)
    },
    async keys() {
      const found: string[] = []
      for (const { id } of deployment.topology.shards) {
        let cursor = '0'
        do {
          const reply = await deployment.onShard(id, ['SCAN', cursor, 'MATCH', `${namespace}:*`, 'COUNT', 1000])
          const [next, keys] = reply as [string, string[]]
          cursor = next
          found.push(...keys)
        } while (cursor !== '0')
      }
      return found
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(workers.map((worker) => worker.drain(0)))
      await client.close()
      await events.close()
      await files?.close()
      await deployment.close()
    },
  }
}

export async function resultsOf(handle: ExecutionHandle): Promise<unknown[]> {
  const results: unknown[] = []
  for await (const frame of handle.frames()) results.push(...decodeRecords(frame))
  return results
}

export async function failuresOf(handle: ExecutionHandle): Promise<Failure[]> {
  const failures: Failure[] = []
  for await (const failure of handle.failures()) failures.push(failure)
  return failures
}
