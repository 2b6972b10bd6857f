// What cannot travel: records that structured clone does not carry, captured values that live in one process, code that the
// worker does not trust or lacks a package for.
import { mkdtempSync, rmSync } from 'node:fs'
import { Socket } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { pathToFileURL } from 'node:url'
import { glob } from 'tinyglobby'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { silent } from '../../src/engine/logger.ts'
import { startWorker } from '../../src/engine/worker.ts'
import { connect, type Mill } from '../../src/index.ts'
import { modules } from '../../src/mill/modules.ts'
import type { Pipeline } from '../../src/pipeline/pipeline.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import { standalone } from '../fixtures/servers.ts'
import { expectCaller, expectFailure, expectNothingLeft, expectRefusal } from './bad-input.ts'

const here = import.meta.url
const skip = { onError: 'skip' } as const

describe('records and captures', () => {
  const namespace = `cap${process.pid}`
  let mill: Mill
  beforeAll(async () => {
    mill = await connect({ url: (await standalone()).url, namespace, executors: 1 })
  })
  afterAll(async () => {
    await mill.close()
    await expectNothingLeft([await standalone()], namespace)
  })
  const three = (): Pipeline<number> => mill.from([1, 2, 3])

  it('a huge record', async () => {
    const long = await three()
      .map((n) => (n === 2 ? 'x'.repeat(80 * 1024 * 1024) : 'y'))
      .countBy((text) => text.length)
      .run()
    expect(long).toHaveLength(2)
    const { errors } = await three()
      .map((n) => (n === 2 ? 'x'.repeat(80 * 1024 * 1024) : 'y'))
      .map((text) => {
        if (text.length > 1) throw new Error('too long')
      })
      .run(skip)
    expect(String(errors[0]?.record).length).toBeLessThan(2000)
  })

  it('a record that cannot cross a shuffle', async () => {
    const functions = three().map((n) => (n === 2 ? () => n : n))
    const shuffled = [
      functions,
      functions.collect(),
      functions.repartition((f) => typeof f),
      functions.countBy(),
    ] as const
    for (const [i, pipeline] of shuffled.entries()) {
      const { results, errors } = await pipeline.run(skip)
      expect(results).toHaveLength(2)
      expect(errors).toMatchObject([{ code: 'PLAN_RECORD', message: expect.stringContaining('function') as string }])
      const lines = ['mill.from(', '.collect()', '.repartition(', '.countBy()']
      expectCaller(errors[0], here, lines[i] as string)
    }
    const error = await expectRefusal(mill.from([1, () => 1]).run(), 'PLAN_RECORD')
    expectCaller(error, here, 'mill.from([1, () => 1]')
  })

  const socket = new Socket()
  const holder = { pool: { socket } }
  const stream = new Readable()
  class Vault {
    #secret = 1
    get secret(): number {
      return this.#secret
    }
  }
  const vault = new Vault()
  class Owner {
    readonly by = 2
    all(): Promise<number[]> {
      return three()
        .map((n) => n * this.by)
        .run()
    }
  }
  it.each([
    [
      'CAPTURE_UNSUPPORTED',
      'holder.pool.socket',
      () =>
        three()
          .map((n) => (holder.pool.socket.destroyed ? n : 0))
          .run(),
    ],
    [
      'CAPTURE_UNSUPPORTED',
      'stream',
      () =>
        three()
          .filter(() => stream.destroyed)
          .run(),
    ],
    [
      'CAPTURE_PRIVATE',
      'vault',
      () =>
        three()
          .map((n) => n + vault.secret)
          .run(),
    ],
    ['CAPTURE_THIS', 'this', () => new Owner().all()],
    ['CAPTURE_UNSUPPORTED', 'socket', () => mill.submit(() => socket.destroyed)],
  ] as const)('%s: %s', async (code, name, run) => {
    const error = await expectRefusal(run(), code)
    expect(error.message).toContain(name)
    expect(error.message).toContain('bad-captures.test.ts:')
  })
})

describe('a worker', () => {
  const folder = mkdtempSync(join(tmpdir(), 'gearmill-bare-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))

  /** Runs a body with a client and one worker of the remote group, in a folder without packages. */
  const together = async (
    secrets: { readonly client?: string; readonly worker?: string },
    body: (mill: Mill) => Promise<void>,
  ): Promise<void> => {
    const { url } = await standalone()
    const namespace = `far${process.pid}`
    const { client, worker: secret } = secrets
    const own = client === undefined ? {} : { secret: client }
    const mill = await connect({ url, namespace, workers: 'remote', ...own })
    const deployment = await connectDeployment(url)
    const worker = await startWorker({
      deployment,
      namespace,
      group: 'remote',
      executors: 1,
      leaseMs: 10_000,
      blocks: { kind: 'redis', ttlMs: 60_000 },
      modules: modules(),
      secret,
      base: pathToFileURL(`${folder}/`).href,
      logger: silent,
      console: () => undefined,
    })
    try {
      await body(mill)
    } finally {
      await worker.drain(0)
      await deployment.close()
      await mill.close()
    }
  }

  it('refuses code that is signed with another secret, or not at all', async () => {
    await together({ client: 'one', worker: 'two' }, async (mill) => {
      const error = await expectFailure(
        mill
          .from([1])
          .map((n) => n + 1)
          .run(),
        'CAPTURE_SIGNATURE',
      )
      expect(error.hint).toContain('GEARMILL_SECRET')
      expectCaller(error, here, 'await expectFailure(')
    })
    await together({ worker: 'two' }, async (mill) => {
      const unsigned = await mill.submit(() => 1)
      await expectFailure(unsigned.result(), 'CAPTURE_SIGNATURE')
    })
    await together({ client: 'two', worker: 'two' }, async (mill) => {
      expect(
        await mill
          .from([1])
          .map((n) => n + 1)
          .run(),
      ).toEqual([2])
    })
  })

  it('refuses functions whose package it does not have', async () => {
    await together({}, async (mill) => {
      const error = await expectFailure(
        mill
          .from(['*'])
          .map((pattern) => glob([pattern]))
          .run(),
        'CAPTURE_PACKAGE',
      )
      expect(error.message).toContain("package 'tinyglobby'")
      expect(error.message).toContain(folder)
      expect(
        await mill
          .from([1])
          .map((n) => n + 1)
          .run(),
      ).toEqual([2])
    })
  })
})
