// Word counts during which executors, workers and the server are killed, one after the other, in an order that a seed decides.
import { readFile } from 'node:fs/promises'
import type { Mill } from '../../src/index.ts'
import { startServer } from '../../src/server/standalone.ts'
import { until } from '../fixtures/servers.ts'
import { expectExact, newNamespace, openMill, startWorkerProcess, ways, wordCount, type WorkerProcess } from './lab.ts'
import { makeTweets } from './tweets.ts'

export interface ChaosOptions {
  readonly seed: number
  /** Asked before each execution. */
  readonly goesOn: (executions: number) => boolean
  /** Things that are killed during one execution. */
  readonly kills: number
}

export interface ChaosReport {
  readonly executions: number
  readonly killed: Readonly<Record<'executor' | 'worker' | 'server', number>>
}

/** Throws where a count is not exact. The server keeps an append-only file, synced at each write. */
export async function chaos({ seed, goesOn, kills }: ChaosOptions): Promise<ChaosReport> {
  const killed = { executor: 0, worker: 0, server: 0 }
  let state = seed >>> 0
  const random = (below: number): number => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0
    return Math.floor((state / 2 ** 32) * below)
  }
  await using tweets = await makeTweets({ files: 24 })
  const server = await startServer({ persistence: 'aof', config: { appendfsync: 'always' } })
  const namespace = newNamespace()
  const workers: WorkerProcess[] = []
  let mill: Mill | undefined
  try {
    mill = await openMill(server.url, { workers: 'remote', namespace })
    const join = async (): Promise<void> => {
      workers.push(await startWorkerProcess(server.url, namespace, { leaseMs: 1500 }))
    }
    await join()
    await join()

    const harm = async (): Promise<void> => {
      const victim = random(workers.length)
      switch (random(3)) {
        case 0: {
          const children = await childrenOf((workers[victim] as WorkerProcess).pid)
          const child = children[random(children.length)]
          if (child === undefined) return
          killed.executor += killIfThere(child)
          return
        }
        case 1: {
          killed.worker += 1
          const [worker] = workers.splice(victim, 1)
          await (worker as WorkerProcess).kill()
          return join()
        }
        default:
          killed.server += 1
          await server.kill()
          await server.restart()
      }
    }

    let executions = 0
    for (; goesOn(executions); executions++) {
      const key = `counts:${executions}`
      const how = ways[executions % ways.length] ?? 'words'
      // Random deaths say nothing about a task: none may give it up.
      const execution = await wordCount(mill, tweets, { how, key, paceMs: 80 }).start({ maxAttempts: 0 })
      let done = 0
      for (let kill = 0; kill < kills; kill++) {
        await until(async () => {
          const status = await execution.status()
          const now = status.stages.reduce((sum, stage) => sum + stage.done, 0)
          const moved = now > done || status.ended !== undefined
          if (moved) done = now
          return moved
        })
        await harm()
      }
      await execution.result()
      await expectExact(mill, tweets, key)
      await mill.executions.remove(execution.id)
      await mill.redis.del(key)
    }
    return { executions, killed }
  } finally {
    await mill?.close()
    for (const worker of workers) await worker[Symbol.asyncDispose]()
    await server.stop()
  }
}

async function childrenOf(pid: number): Promise<number[]> {
  const text = await readFile(`/proc/${pid}/task/${pid}/children`, 'utf8').catch(() => '')
  return text.split(' ').filter(Boolean).map(Number)
}

/** 1, or 0 where the process ended in the meantime. */
function killIfThere(pid: number): number {
  try {
    process.kill(pid, 'SIGKILL')
    return 1
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return 0
    throw error
  }
}
