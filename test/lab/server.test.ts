// The word count lab, statements 19 to 26: checkpoints, and servers that are killed and come back from one.
import { copyFile, mkdir } from 'node:fs/promises'
import { join } from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import type { Mill } from '../../src/index.ts'
import { startServer, type PrivateServer, type ServerOptions } from '../../src/server/standalone.ts'
import { raw, until } from '../fixtures/servers.ts'
import { newGate } from './gate.ts'
import { endOf, expectExact, newNamespace, openMill, startWorkerProcess, untilDone, wordCount } from './lab.ts'
import { makeTweets, type Tweets } from './tweets.ts'

let tweets: Tweets
beforeAll(async () => {
  tweets = await makeTweets({ files: 16 })
})
afterAll(() => tweets[Symbol.asyncDispose]())

let server: PrivateServer
let mill: Mill | undefined
const start = async (
  options: ServerOptions,
  ...rest: Parameters<typeof openMill> extends [string, ...infer Rest] ? Rest : never
) => {
  // No checkpoints but those that a test asks for.
  server = await startServer({ ...options, config: { save: '""', ...options.config } })
  // Longer than a checkpoint is old, on a busy machine too: what is local must not expire meanwhile. Some of what was under
  // way waits for it to end.
  mill = await openMill(server.url, { leaseMs: 10_000, ...rest[0] })
  return mill
}
afterEach(async () => {
  await mill?.close()
  await server.stop()
})
const crash = async (): Promise<void> => {
  await server.kill()
  await server.restart()
}
const saves = async (): Promise<number> =>
  Number(/rdb_saves:(\d+)/.exec(String(await raw(server, 'INFO', 'persistence')))?.[1])

describe('checkpoints', () => {
  it('19, 20: saves checkpoints while it runs; in each a file is acknowledged if and only if it is counted', async () => {
    await using small = await makeTweets({ files: 40, rows: 20 })
    const client = await start({ persistence: 'rdb' }, { checkpointEveryMs: 50 })
    const gate = newGate(5)
    const execution = await wordCount(client, small, { how: 'words', paceMs: 20, gate }).start()
    const bits = `${client.config.namespace}:{gm0}:x:${execution.id}:done`
    const seen: number[] = []
    for (let ended = false; !ended;) {
      // What one checkpoint may have seen at most, the next but one has at least.
      await until(async () => ((await execution.status()).stages[0]?.done ?? 0) >= 5 * seen.length)
      gate.open(5 * (seen.length + 1))
      const before = await saves()
      await until(async () => {
        ended = (await execution.status()).ended !== undefined
        // The first of two may have begun before.
        return ended || (await saves()) > before + 1
      })
      // What the file holds is seen by a server of its own.
      const dir = join(server.dir, `copy${seen.length}`)
      await mkdir(dir)
      await copyFile(join(server.dir, 'dump.rdb'), join(dir, 'dump.rdb'))
      const copy = await startServer({ dir, persistence: 'rdb' })
      let counted = 0
      for (let file = 0; file < small.files.length; file++) {
        const done = await raw(copy, 'GETBIT', bits, file)
        expect(await raw(copy, 'ZSCORE', 'counts', small.markOf(file))).toBe(done === 1 ? '1' : null)
        counted += Number(done)
      }
      seen.push(counted)
      await copy.kill()
    }
    expect(new Set(seen).size).toBeGreaterThan(1)
    await expectExact(client, small)
  })

  it.each(['add', 'words', 'replace'] as const)(
    '21, 22, 23: the server is killed and comes back from a checkpoint (%s)',
    async (how) => {
      const client = await start({ persistence: 'rdb' })
      const gate = newGate(6)
      const execution = await wordCount(client, tweets, { how, gate }).start()
      await untilDone(execution, 3)
      const { stages } = await execution.status()
      await raw(server, 'SAVE')
      gate.open(12)
      await untilDone(execution, (stages[0]?.done ?? 0) + 3)
      await crash()
      gate.open()
      // What the checkpoint had acknowledged stays so.
      expect((await execution.status()).stages[0]?.done).toBeGreaterThanOrEqual(stages[0]?.done ?? 0)
      await execution.result()
      await expectExact(client, tweets)
    },
  )

  it('22, 25: the same from an append-only file, twice, with a password', async () => {
    const client = await start({ persistence: 'aof', password: 'secret', config: { appendfsync: 'always' } })
    const gate = newGate(6)
    const execution = await wordCount(client, tweets, { how: 'words', gate }).start()
    await untilDone(execution, 3)
    await crash()
    gate.open(12)
    await untilDone(execution, 7)
    await crash()
    gate.open()
    await execution.result()
    await expectExact(client, tweets)
  })

  it('21: checkpoints of the mill itself are enough', async () => {
    const client = await start({ persistence: 'rdb' }, { checkpointEveryMs: 100 })
    const gate = newGate(6)
    const execution = await wordCount(client, tweets, { how: 'words', gate }).start()
    await untilDone(execution, 2)
    const before = await saves()
    await until(async () => (await saves()) > before + 1)
    await crash()
    gate.open()
    await execution.result()
    await expectExact(client, tweets)
  })

  it('24: executors die before, and after the server came back', async () => {
    // Once: a task that dies so, and by both signals below, is at one record for the third time otherwise, and gives that up.
    const client = await start({ persistence: 'rdb' }, { fault: { at: 'mid-apply', times: 1 } })
    const gate = newGate(6)
    // Random deaths say nothing about a task: none may give it up.
    const execution = await wordCount(client, tweets, { how: 'words', gate }).start({ maxAttempts: 0 })
    await untilDone(execution, 2)
    await raw(server, 'SAVE')
    gate.open(12)
    await untilDone(execution, 5)
    await server.kill()
    for (const pid of client.executors.pids) process.kill(pid, 'SIGKILL')
    await server.restart()
    await untilDone(execution, 4)
    for (const pid of client.executors.busy) process.kill(pid, 'SIGKILL')
    gate.open()
    await execution.result()
    await expectExact(client, tweets)
  })

  it('22: a run that had ended is run again by workers of their own when the server goes back to its middle', async () => {
    const namespace = newNamespace()
    const client = await start({ persistence: 'rdb' }, { workers: 'remote', namespace })
    await using _worker = await startWorkerProcess(server.url, namespace, { executors: 2 })
    const gate = newGate(6)
    const execution = await wordCount(client, tweets, { how: 'words', gate }).start()
    await untilDone(execution, 3)
    await raw(server, 'SAVE')
    gate.open()
    await execution.result()
    await expectExact(client, tweets)
    gate.open(6)
    await crash()
    expect((await execution.status()).state).toBe('running')
    gate.open()
    expect(await endOf(client, execution.id)).toBe('done')
    await expectExact(client, tweets)
  })

  it('26: an execution of which no checkpoint knows is lost, and exact when it is run again', async () => {
    const client = await start({ persistence: 'rdb' })
    const gate = newGate(6)
    const execution = await wordCount(client, tweets, { how: 'words', gate }).start()
    await untilDone(execution, 2)
    await crash()
    gate.open()
    await expect(execution.result()).rejects.toMatchObject({ code: 'EXECUTION_LOST' })
    await wordCount(client, tweets, { how: 'words' }).run()
    await expectExact(client, tweets)
  })
})
