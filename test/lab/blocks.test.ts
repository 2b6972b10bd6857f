// Blocks that are lost in the middle of a run: the stage that made them runs again, and nothing counts twice.
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { mkdtemp } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import type { Mill } from '../../src/index.ts'
import { startServer } from '../../src/server/standalone.ts'
import { flush, raw, standalone, until } from '../fixtures/servers.ts'
import { expectExact, openMill, type How } from './lab.ts'
import { makeTweets, type Tweets } from './tweets.ts'

let tweets: Tweets
let dir: string
let mill: Mill | undefined
beforeAll(async () => {
  tweets = await makeTweets()
  dir = await mkdtemp(join(tmpdir(), 'gearmill-lab-blocks-'))
})
afterAll(async () => {
  await rm(dir, { recursive: true, force: true })
  await tweets[Symbol.asyncDispose]()
  await flush()
})
afterEach(() => mill?.close())

/** Counts words; the merging stage waits for the key `go`, so that the test can do harm before. */
async function start(client: Mill, how: 'add' | 'replace') {
  const { glob, splitBytes } = tweets
  return client
    .files(glob, { format: 'csv', column: 'text', splitBytes })
    .split(' ')
    .countBy()
    .map(async (count) => {
      while ((await client.redis.get('go')) === null) await new Promise((resolve) => setTimeout(resolve, 20))
      return count
    })
    .toSortedSet('counts', { mode: how })
    .start()
}

const blocksIn = async (folder: string): Promise<string[]> =>
  (await readdir(folder, { recursive: true }))
    .filter((name) => name.endsWith('.block'))
    .map((name) => join(folder, name))

it.each(['add', 'replace'] as const satisfies readonly How[])(
  'files that are deleted are made again (%s)',
  async (how) => {
    const server = await standalone()
    mill = await openMill(server.url, { blocks: { dir: join(dir, how) }, executors: 2 })
    const execution = await start(mill, how)
    await until(async () => (await execution.status()).stage === 1)
    const blocks = await blocksIn(join(dir, how))
    expect(blocks.length).toBeGreaterThan(5)
    for (const block of blocks.filter((_, i) => i % 3 === 0)) await rm(block)
    await raw(server, 'SET', 'go', '1')
    await execution.result()
    await expectExact(mill, tweets)
    await raw(server, 'DEL', 'go', 'counts')
  },
)

it('a server that goes back to a checkpoint whose blocks are gone as well ends exact', async () => {
  const server = await startServer({ persistence: 'rdb', config: { save: '""' } })
  try {
    mill = await openMill(server.url, { blocks: { dir: join(dir, 'back') }, leaseMs: 30_000 })
    const execution = await start(mill, 'add')
    await until(async () => (await execution.status()).stage === 1)
    await raw(server, 'SAVE')
    await raw(server, 'SET', 'go', '1')
    await execution.result()
    await expectExact(mill, tweets)
    await server.kill()
    await rm(join(dir, 'back'), { recursive: true })
    await server.restart()
    expect((await execution.status()).state).toBe('running')
    await raw(server, 'SET', 'go', '1')
    await until(async () => (await execution.status()).state === 'done')
    await expectExact(mill, tweets)
    await mill.close()
  } finally {
    await server.stop()
  }
})
