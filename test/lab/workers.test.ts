// The word count lab, statements 14 to 18: executors and workers that die, stop, or are overtaken.
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest'
import { faultPoints } from '../../src/engine/protocol.ts'
import type { Mill } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'
import { newGate } from './gate.ts'
import { endOf, expectExact, newNamespace, openMill, startWorkerProcess, untilDone, wordCount } from './lab.ts'
import { makeTweets, type Tweets } from './tweets.ts'

let tweets: Tweets
beforeAll(async () => {
  tweets = await makeTweets()
})
afterAll(() => tweets[Symbol.asyncDispose]())

describeTopologies('executors and workers', (topology) => {
  const open: Mill[] = []
  const start = async (...args: Parameters<typeof openMill> extends [string, ...infer Rest] ? Rest : never) => {
    const mill = await openMill(await topology.url(), ...args)
    open.push(mill)
    return mill
  }
  afterEach(async () => {
    for (const mill of open.splice(0)) await mill.close()
    await flush()
  })

  // Words of a file are many, so that way meets every point; what one partition adds goes along with its commit.
  it.each(
    faultPoints.flatMap((at) => [
      { at, how: 'words' as const, retried: at !== 'after-commit' },
      ...(topology.kind === 'standalone' && at !== 'frozen' && at !== 'mid-apply'
        ? [{ at, how: 'add' as const, retried: at !== 'after-commit' }]
        : []),
    ]),
  )('14, 15, 17: executors killed at $at: each file is counted once ($how)', async ({ at, how, retried }) => {
    const mill = await start({ fault: { at, times: 2 } })
    const execution = await wordCount(mill, tweets, { how }).start()
    await execution.result()
    await expectExact(mill, tweets)
    expect((await execution.status()).retries > 0).toBe(retried)
  })

  it('14, 15: replaces a sorted set at once though executors die before and after the commit', async () => {
    for (const at of ['before-commit', 'after-commit'] as const) {
      const mill = await start({ fault: { at, times: 2 } })
      await wordCount(mill, tweets, { how: 'replace', key: at }).run()
      await expectExact(mill, tweets, at)
    }
  })

  it('16: a slow worker that was overtaken goes on later, and is refused', async () => {
    const namespace = newNamespace()
    const url = await topology.url()
    const mill = await start({ workers: 'remote', namespace })
    // Several points, so that some stopped executors hold finished work and others a frozen outbox.
    for (const at of ['after-read', 'before-commit', 'mid-apply'] as const) {
      const key = `slow:${at}`
      await using slow = await startWorkerProcess(url, namespace, { fault: { at, signal: 'SIGSTOP' } })
      const execution = await wordCount(mill, tweets, { how: 'words', key }).start()
      await until(async () => (await stoppedExecutors(slow.pid)) === 1)
      slow.signal('SIGSTOP')
      await using quick = await startWorkerProcess(url, namespace)
      expect(await endOf(mill, execution.id)).toBe('done')
      await expectExact(mill, tweets, key)
      slow.signal('SIGCONT')
      // It takes part again: what it held is settled when it serves something new.
      quick.child.kill('SIGTERM')
      await wordCount(mill, tweets, { key: `${key}:next` }).run()
      await expectExact(mill, tweets, `${key}:next`)
      await expectExact(mill, tweets, key)
    }
  })

  it('18: ends with the exact result when all workers but one are killed', async () => {
    const namespace = newNamespace()
    const url = await topology.url()
    const mill = await start({ workers: 'remote', namespace })
    await using first = await startWorkerProcess(url, namespace)
    await using second = await startWorkerProcess(url, namespace)
    const gate = newGate(4)
    const execution = await wordCount(mill, tweets, { how: 'words', gate }).start()
    await untilDone(execution, 1)
    await using _last = await startWorkerProcess(url, namespace)
    await Promise.all([first.kill(), second.kill()])
    gate.open()
    await execution.result()
    await expectExact(mill, tweets)
  })
})

/** Children of a process that are stopped by a signal. */
async function stoppedExecutors(parent: number): Promise<number> {
  const { readFile } = await import('node:fs/promises')
  const children = (await readFile(`/proc/${parent}/task/${parent}/children`, 'utf8')).trim().split(' ')
  const states = await Promise.all(children.map((pid) => readFile(`/proc/${pid}/stat`, 'latin1').catch(() => '')))
  return states.filter((stat) => stat.slice(stat.lastIndexOf(')') + 2, stat.lastIndexOf(')') + 3) === 'T').length
}
