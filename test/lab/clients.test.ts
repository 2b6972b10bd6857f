// Clients that are killed or closed: what goes on, and what is left.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { readdir } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest'
import { cluster, describeTopologies, flush, raw, standalone, until } from '../fixtures/servers.ts'
import type { PrivateServer } from '../../src/server/standalone.ts'
import {
  endOf,
  expectExact,
  isAlive,
  keysOf,
  newNamespace,
  openMill,
  startWorkerProcess,
  wordCount,
  type How,
} from './lab.ts'
import { makeTweets, type Tweets } from './tweets.ts'

let tweets: Tweets
beforeAll(async () => {
  tweets = await makeTweets()
})
afterAll(() => tweets[Symbol.asyncDispose]())

interface ClientProcess {
  readonly child: ChildProcess
  readonly closed: Promise<unknown>
  /** What it printed first: the execution's id and the executors' pids, once they work. */
  readonly said: { readonly id: string; readonly pids: readonly number[] }
}

/** A client in a process of its own, that starts a word count and waits. */
async function startClient(settings: {
  readonly url: string
  readonly namespace: string
  readonly workers: 'local' | 'remote'
  readonly how: How
  readonly leaseMs?: number
  readonly paceMs?: number
  readonly fault?: object
}): Promise<ClientProcess> {
  const { glob, splitBytes } = tweets
  const child = spawn(
    process.execPath,
    [new URL('./client.mjs', import.meta.url).pathname, JSON.stringify({ ...settings, glob, splitBytes })],
    { stdio: ['ignore', 'pipe', 'inherit'] },
  )
  // Not 'close': executors have its output open too, for as long as they live.
  const closed = once(child, 'exit')
  const [line] = (await once(child.stdout.setEncoding('utf8'), 'data')) as [string]
  return { child, closed, said: JSON.parse(line) as ClientProcess['said'] }
}

describeTopologies('clients', (topology) => {
  afterEach(() => flush())
  const servers = async (): Promise<readonly PrivateServer[]> =>
    topology.kind === 'standalone' ? [await standalone()] : (await cluster()).nodes

  it.each(['add', 'words'] as const)(
    'killed after the submit: workers end it, another client reads the result (%s)',
    async (how) => {
      const namespace = newNamespace()
      const url = await topology.url()
      const { child, closed, said } = await startClient({ url, namespace, workers: 'remote', how })
      child.kill('SIGKILL')
      await closed
      await using _worker = await startWorkerProcess(url, namespace)
      const other = await openMill(url, { workers: 'remote', namespace })
      expect(await endOf(other, said.id)).toBe('done')
      await (await other.executions.get(said.id)).result()
      await expectExact(other, tweets)
      await other.executions.remove(said.id)
      await other.close()
    },
  )

  it.each([
    ['replace', 'before-commit'],
    ['add', 'before-commit'],
    ['words', 'after-read'],
    ['words', 'mid-apply'],
  ] as const)('killed with its own executors (%s, %s): they end, and its keys go with its lease', async (how, at) => {
    const namespace = newNamespace()
    const fault = { at, signal: 'SIGSTOP', times: 1 }
    const url = await topology.url()
    const { child, closed, said } = await startClient({ url, namespace, workers: 'local', how, leaseMs: 4000, fault })
    child.kill('SIGKILL')
    await closed
    await until(() => !said.pids.some(isAlive))
    const left = (keys: readonly string[]): string[] =>
      // Markers in other slots guard a takeover, and live for an hour.
      keys.filter((key) => topology.kind === 'standalone' || !/^[^{]*\{[a-z0-9]+\}:m:/.test(key))
    await until(async () => left(await keysOf(await servers(), namespace)).length === 0)
    const scratch = new RegExp(`^gearmill-scratch\\..*\\.${child.pid}\\.`)
    await until(async () => !(await readdir(tmpdir())).some((name) => scratch.test(name)))
    expect(said.pids.filter(isAlive)).toEqual([])
  })

  it.each(['replace', 'words'] as const)(
    'closed in the middle, and closed at the end: nothing is left (%s)',
    async (how) => {
      for (const middle of [true, false]) {
        const namespace = newNamespace()
        const mill = await openMill(await topology.url(), {
          namespace,
          leaseMs: 60_000,
          fault: { at: 'mid-apply', times: 1 },
        })
        const execution = await wordCount(mill, tweets, { how, paceMs: 20, key: `${how}:${middle}` }).start()
        await until(async () => ((await execution.status()).stages[0]?.done ?? 0) >= 4)
        const { pids } = mill.executors
        if (!middle) await execution.result()
        else execution.result().catch(() => {})
        await mill.close()
        expect(pids.filter(isAlive)).toEqual([])
        expect(await keysOf(await servers(), namespace)).toEqual([])
        const mine = new RegExp(`^gearmill-(blocks\\..*\\.)?${process.pid}[.-]`)
        expect((await readdir(tmpdir())).filter((name) => mine.test(name))).toEqual([])
      }
    },
  )
})

describe('outboxes', () => {
  it('are kept while executors are slow: a task may take longer than a lease', async () => {
    const mill = await openMill((await standalone()).url, { leaseMs: 2500 })
    // Effects come in slowly: the first chunk is written leases before the last.
    const items = Array.from({ length: 60 }, (_, i) => i)
    const written = await mill
      .from(items, { partitions: 1 })
      .map((n) => {
        const end = Date.now() + 100
        while (Date.now() < end);
        return n
      })
      .write((n) => Array.from({ length: 20 }, (_, i) => ['HINCRBY', 'slow', `${n}.${i}`, '1'] as const))
      .run()
    expect(written).toEqual({ written: 1200 })
    expect(await mill.redis.hLen('slow')).toBe(1200)
    expect(new Set(await mill.redis.hVals('slow'))).toEqual(new Set(['1']))
    await mill.close()
    await raw(await standalone(), 'DEL', 'slow')
  })
})
