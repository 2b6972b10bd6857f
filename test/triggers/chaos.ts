// What survives the death of workers, hosts and servers: one scenario for `npm test` (small) and `npm run soak` (large).
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { expect } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import type { PrivateServer } from '../../src/server/standalone.ts'
import { until } from '../fixtures/servers.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname
const clients = 4
const together = 100

export interface Chaos {
  readonly server: PrivateServer
  readonly entries: number
  readonly writes: number
  /** Workers killed on the way. */
  readonly kills: number
  /** Called once half of the work is sent. */
  readonly halfway?: () => Promise<void>
}

class Workers {
  readonly #url: string
  readonly #children: ChildProcess[] = []

  constructor(url: string) {
    this.#url = url
  }

  start(): void {
    const args = [program, 'worker', '--url', this.#url, '--executors', '2', '--lease', '1000', '--grace', '1']
    this.#children.push(spawn(process.execPath, args, { stdio: 'ignore' }))
  }

  /** SIGKILL of any: its hosts end with it, and the tap, if it has it. Another one takes its place. */
  async replace(): Promise<void> {
    const [child] = this.#children.splice(Math.floor(Math.random() * this.#children.length), 1)
    if (child === undefined) return
    const gone = once(child, 'exit')
    child.kill('SIGKILL')
    await gone
    this.start()
  }

  async stop(): Promise<void> {
    await Promise.all(
      this.#children.map(async (child) => {
        const gone = once(child, 'exit')
        child.kill('SIGTERM')
        await gone
      }),
    )
  }
}

export interface Survived {
  readonly entries: number
  readonly writes: number
  readonly kills: number
}

/** Expects that every entry of streams and every write of keys has its effects exactly once; returns how many had. */
export async function survive({ server, entries, writes, kills, halfway }: Chaos): Promise<Survived> {
  const workers = new Workers(server.url)
  workers.start()
  workers.start()
  await using mill = await connect({ url: server.url, workers: 'remote' })
  try {
    const streams = await mill
      .stream('chaos:*')
      .write((entry) => [
        ['HINCRBY', 'times', entry.value.n ?? '', 1],
        ['INCR', 'total'],
      ])
      .register({ name: 'streams', batch: 200, concurrency: 2 })
    const keys = await mill
      .keyEvents('key:*', { events: ['set'] })
      .write((event) => ['HINCRBY', 'keys', `${event.key} ${event.value as string}`, 1])
      .register({ name: 'keys', batch: 200 })
    let sent = 0
    let killed = 0
    const all = entries + writes
    const stepOf = all / (kills + 1)
    // Spread over the processing, which is behind the writing.
    const done = async (): Promise<number> => (await streams.status()).successes + (await keys.status()).successes
    const disturb = async (): Promise<void> => {
      while (killed < kills) {
        await until(async () => (await done()) > (killed + 1) * stepOf)
        killed += 1
        await workers.replace()
      }
    }
    let half: Promise<void> | undefined
    const client = async (which: number): Promise<void> => {
      for (let from = which * together; from < Math.max(entries, writes); from += clients * together) {
        const work: Promise<unknown>[] = []
        for (let n = from; n < from + together; n++) {
          if (n < entries) work.push(mill.redis.xAdd(`chaos:${n % 5}`, '*', { n: String(n) }))
          if (n < writes) work.push(mill.redis.set(`key:${n % 50}`, String(n)))
        }
        await Promise.all(work)
        sent += work.length
        if (sent > all / 2) await (half ??= halfway?.() ?? Promise.resolve())
      }
    }
    await Promise.all([disturb(), ...Array.from({ length: clients }, (_, which) => client(which))])
    await until(async () => (await streams.status()).successes >= entries && (await keys.status()).successes >= writes)
    await expectOnce(mill, 'times', entries)
    expect(await mill.redis.get('total')).toBe(String(entries))
    await expectOnce(mill, 'keys', writes)
    expect(await streams.status()).toMatchObject({ events: entries, failures: 0 })
    expect(await keys.status()).toMatchObject({ events: writes, failures: 0 })
    const seen = {
      entries: (await streams.status()).successes,
      writes: (await keys.status()).successes,
      kills: killed,
    }
    await streams.remove()
    await keys.remove()
    return seen
  } finally {
    await workers.stop()
  }
}

async function expectOnce(mill: Mill, hash: string, count: number): Promise<void> {
  expect(await mill.redis.hLen(hash)).toBe(count)
  expect(new Set(await mill.redis.hVals(hash))).toEqual(new Set(['1']))
}
