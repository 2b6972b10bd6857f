// Counters: what committed tasks added, once each; and shared buffers as side inputs.
import { existsSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, afterEach, expect, it } from 'vitest'
import { buildArray, buildMap, openArray, openMap, str, struct, u32 } from '../../src/buffers/index.ts'
import { connect, type Mill } from '../../src/index.ts'
import type { Fault } from '../../src/engine/protocol.ts'
import { silent } from '../../src/engine/logger.ts'
import { connectDeployment } from '../../src/redis/connect.ts'
import { describeTopologies } from '../fixtures/servers.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-counters-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))

const mills: Mill[] = []
afterEach(async () => {
  await Promise.all(mills.splice(0).map((mill) => mill.close()))
})
let namespaces = 0

describeTopologies('counters', (topology) => {
  const open = async (namespace = `c${process.pid}.${namespaces++}`, fault?: Fault): Promise<Mill> => {
    const mill = await connect({
      url: await topology.url(),
      executors: 2,
      namespace,
      logger: silent,
      ...(fault && { fault }),
    })
    mills.push(mill)
    return mill
  }
  const numbers = Array.from({ length: 1000 }, (_, i) => i)

  it('sum what functions of all executors add', async () => {
    const mill = await open()
    const seen = mill.counter('seen')
    expect(mill.counter('seen')).toBe(seen)
    expect(await seen.value()).toBe(0)
    const pipeline = mill.from(numbers, { partitions: 8 }).forEach((n) => {
      seen.add()
      if (n % 2 === 0) mill.counter('halves').add(0.5)
    })
    expect(await pipeline.count().run()).toEqual([1000])
    expect([await seen.value(), await mill.counter('halves').value()]).toEqual([1000, 250])
    await pipeline.run()
    const within = await mill.submit(async () => [await seen.value(), await mill.counter('other').value()])
    expect(await within.result()).toEqual([2000, 0])
    seen.add(5)
    expect(await seen.value()).toBe(2005)
  })

  it.each(['after-read', 'before-commit', 'after-commit', 'frozen', 'mid-apply'] as const)(
    'count each record once where an executor dies %s',
    async (at) => {
      const mill = await open(undefined, { at })
      const seen = mill.counter('seen')
      const sink = mill.from(numbers, { partitions: 4 }).write((n) => {
        seen.add(1)
        return [
          ['INCR', `count:${at}:a`],
          ['INCR', `count:${at}:${n % 7}`],
        ]
      })
      await sink.run()
      expect(await mill.redis.get(`count:${at}:a`)).toBe('1000')
      expect(await seen.value()).toBe(1000)
      for (const key of ['a', 0, 1, 2, 3, 4, 5, 6]) await mill.redis.del(`count:${at}:${key}`)
    },
  )

  it('count nothing of attempts that died in user code, nor of tasks that failed', async () => {
    const mill = await open()
    const seen = mill.counter('seen')
    const marker = join(folder, `died-${namespaces}`)
    const pipeline = mill
      .from(numbers, { partitions: 2 })
      .with({ marker })
      .map(async (n, values) => {
        seen.add()
        if (n === 900) {
          const fs = await import('node:fs')
          if (!fs.existsSync(values.marker)) {
            fs.writeFileSync(values.marker, '')
            process.kill(process.pid, 'SIGKILL')
          }
        }
        return n
      })
    expect(await pipeline.count().run()).toEqual([1000])
    expect(existsSync(marker)).toBe(true)
    expect(await seen.value()).toBe(1000)
  })

  it('are of one client where its workers are its own, and go with it', async () => {
    const [one, other] = [await open('shared'), await open('shared')]
    for (const [mill, n] of [
      [one, 1],
      [other, 10],
    ] as const) {
      // prettier-ignore
      const counter = mill.counter('Counter')
      await mill
        .from([1, 2, 3])
        .with({ n })
        .forEach((_record, values) => counter.add(values.n))
        .run()
    }
    expect([await one.counter('Counter').value(), await other.counter('Counter').value()]).toEqual([3, 30])
    await Promise.all([one.close(), other.close()])
    const deployment = await connectDeployment(await topology.url())
    const left = await Promise.all(
      deployment.topology.shards.map(({ id }) => deployment.onShard(id, ['KEYS', 'shared*'])),
    )
    await deployment.close()
    expect(left.flat()).toEqual([])
  })

  it('are checked', async () => {
    const mill = await open()
    const wrong = expect.objectContaining({ code: 'PLAN_OPTION' }) as Error
    expect(() => mill.counter('')).toThrow(wrong)
    expect(() => mill.counter(1 as never)).toThrow(wrong)
    expect(() => mill.counter('x').add('1' as never)).toThrow(wrong)
    const bad = mill.from([1]).map(() => mill.counter('x').add(NaN))
    await expect(bad.run()).rejects.toMatchObject({ code: 'EXECUTION_FAILED' })
    expect(await mill.counter('x').value()).toBe(0)
  })

  it('broadcast() maps arrays and maps in executors', async () => {
    const mill = await open()
    const Country = struct('Country', { name: str, code: u32 })
    const arrayPath = join(folder, 'countries.gmb')
    const mapPath = join(folder, 'by-name.gmb')
    const countries = ['at', 'be', 'ch'].map((name, code) => ({ name, code }))
    await buildArray(arrayPath, Country, countries)
    await buildMap(
      mapPath,
      str,
      Country,
      countries.map((country): [string, typeof country] => [country.name, country]),
    )
    const array = mill.broadcast(openArray(arrayPath, Country))
    const map = mill.broadcast(openMap<string, { name: string; code: number }>(mapPath))
    const names = mill.from([2, 0]).map((i) => array.at(i).name)
    expect(await names.map((name) => map.get(name)?.code).run()).toEqual([2, 0])
    array.close()
    map.close()
    expect(() => mill.broadcast({ path: 'x' } as never)).toThrow(
      expect.objectContaining({ code: 'PLAN_OPTION' }) as Error,
    )

    await buildArray(join(folder, 'gone.gmb'), Country, countries)
    const gone = mill.broadcast(openArray(join(folder, 'gone.gmb'), Country))
    rmSync(join(folder, 'gone.gmb'))
    await expect(
      mill
        .from([0])
        .map((i) => gone.at(i).name)
        .run(),
    ).rejects.toMatchObject({
      code: 'PLAN_FILE',
      message: expect.stringContaining('gone.gmb') as string,
    })
    gone.close()
  })
})
