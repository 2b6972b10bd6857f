// The word count lab, statements 1 to 13 (the numbers are in the names): streams and groups, atomic commit.
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Mill } from '../../src/index.ts'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { raw, standalone, flush } from '../fixtures/servers.ts'
import { newGate } from './gate.ts'
import { endOf, expectExact, isAlive, newNamespace, openMill, startWorkerProcess, ways, wordCount } from './lab.ts'
import { makeTweets, type Tweets } from './tweets.ts'

let tweets: Tweets
let url: string
let mill: Mill
beforeAll(async () => {
  tweets = await makeTweets()
  url = (await standalone()).url
  mill = await openMill(url)
})
afterAll(async () => {
  await mill.close()
  await tweets[Symbol.asyncDispose]()
  await flush()
})

describe('streams and groups', () => {
  it('1: makes one task of each file', async () => {
    const execution = await wordCount(mill, tweets, { key: 'one' }).start()
    await execution.result()
    const { stages } = await execution.status()
    expect(stages[0]).toMatchObject({ tasks: tweets.files.length, done: tweets.files.length })
  })

  it.each(ways)('5, 6: counts the words of the text column as a serial count does (%s)', async (how) => {
    await wordCount(mill, tweets, { how, key: `count:${how}` }).run()
    await expectExact(mill, tweets, `count:${how}`)
  })

  it('5, 6: the same of headerless files in latin-1, with a password', async () => {
    await using latin = await makeTweets({ header: false, encoding: 'latin1' })
    const server = await startServer({ password: 'se cret:@/%' })
    try {
      const guarded = await openMill(server.url)
      for (const how of ways) {
        await wordCount(guarded, latin, { how, header: false, encoding: 'latin1', key: how }).run()
        await expectExact(guarded, latin, how)
      }
      await guarded.close()
    } finally {
      await server.stop()
    }
  })

  it('2, 3, 4: workers that start in any order share the files, each file once', async () => {
    const namespace = newNamespace()
    const client = await openMill(url, { workers: 'remote', namespace })
    await using _first = await startWorkerProcess(url, namespace)
    const execution = await wordCount(client, tweets, { key: 'shared', paceMs: 100 }).start()
    await using _second = await startWorkerProcess(url, namespace)
    await using _third = await startWorkerProcess(url, namespace)
    await execution.result()
    await expectExact(client, tweets, 'shared')
    const consumers = (await raw(
      await standalone(),
      'XINFO',
      'CONSUMERS',
      `${namespace}:{gm0}:t:remote`,
      'gm',
    )) as unknown[][]
    const names = consumers.map((fields) => String(fields[1]))
    expect(new Set(names).size).toBe(names.length)
    expect((await execution.status()).stages[0]).toMatchObject({ done: tweets.files.length })
    await client.executions.remove(execution.id)
    await client.close()
  })

  it('7, 8: a worker without new files stays while another has one, and takes it over; all end with the run', async () => {
    const namespace = newNamespace()
    const client = await openMill(url, { workers: 'remote', namespace })
    // The first holds its file for ever.
    await using stopped = await startWorkerProcess(url, namespace, { fault: { at: 'after-read', signal: 'SIGSTOP' } })
    const execution = await wordCount(client, tweets, { key: 'pending' }).start()
    await using idle = await startWorkerProcess(url, namespace)
    const stop = (): void => stopped.signal('SIGSTOP')
    // Its supervisor renews the lease as long as it runs.
    stop()
    expect(await endOf(client, execution.id)).toBe('done')
    await expectExact(client, tweets, 'pending')
    idle.child.kill('SIGTERM')
    await expect.poll(() => isAlive(idle.pid)).toBe(false)
    await client.executions.remove(execution.id)
    await client.close()
  })
})

describe('atomic acknowledgement and effects', () => {
  let server: PrivateServer
  beforeAll(async () => {
    server = await startServer()
  })
  afterAll(() => server.stop())

  it('9, 10, 12: no observer sees counts of a file without its acknowledgement, nor the other way round', async () => {
    // Few enough words a file to go along with its commit.
    await using small = await makeTweets({ files: 30, rows: 20 })
    const observed = await openMill(server.url)
    let open = 10
    const gate = newGate(open)
    const execution = await wordCount(observed, small, { how: 'words', paceMs: 20, gate }).start()
    const done = `${observed.config.namespace}:{gm0}:x:${execution.id}:done`
    const script = `local seen = {}
      for file = 0, ${small.files.length - 1} do
        seen[#seen + 1] = redis.call('GETBIT', KEYS[1], file)
        seen[#seen + 1] = redis.call('ZSCORE', KEYS[2], 'mark' .. file) and 1 or 0
      end
      return seen`
    const views = new Set<number>()
    for (let ended = false; !ended;) {
      const status = await execution.status()
      ended = status.ended !== undefined
      const seen = (await raw(server, 'EVAL', script, 2, done, 'counts')) as number[]
      for (let i = 0; i < seen.length; i += 2) expect(seen[i]).toBe(seen[i + 1])
      views.add(seen.reduce((a, b) => a + b, 0))
      // Seen when they are done: there are so many views at least.
      if ((status.stages[0]?.done ?? 0) >= open) gate.open((open += 10))
    }
    expect(views.size).toBeGreaterThan(2)
    await expectExact(observed, small)
    await observed.close()
  })

  it('13: the functions are loaded where they are missing, in the middle of a run too', async () => {
    const client = await openMill(server.url)
    const execution = await wordCount(client, tweets, { key: 'again', paceMs: 50 }).start()
    await raw(server, 'FUNCTION', 'FLUSH')
    await execution.result()
    await expectExact(client, tweets, 'again')
    await client.close()
  })
})
