// Many effects at a time: outboxes over many slots and rounds, appliers that die between chunks, effects that fail there.
import { afterEach, expect, it } from 'vitest'
import type { Mill } from '../../src/index.ts'
import { describeTopologies, flush } from '../fixtures/servers.ts'
import { openMill } from './lab.ts'

const records = 900

describeTopologies('outboxes', (topology) => {
  let mill: Mill | undefined
  afterEach(async () => {
    await mill?.close()
    await flush()
  })

  it.each(['frozen', 'mid-apply', 'before-commit'] as const)(
    'lose and double nothing when appliers are killed (%s), with records of several slots, some of which fail',
    async (at) => {
      mill = await openMill(await topology.url(), { fault: { at, times: 2 } })
      await mill.redis.set('text', 'no hash')
      const pipeline = mill
        .from(
          Array.from({ length: records }, (_, i) => i),
          { partitions: 2 },
        )
        .write((n) => [
          // Runs of different slots, one after the other: a record is cut into rounds.
          ['INCR', `first:${n % 40}`],
          ['HINCRBY', 'all', String(n), '1'],
          ...(n % 10 === 3 ? [['HINCRBY', 'text', 'f', '1'] as const] : []),
          ['INCR', `last:${n % 40}`],
          ['HINCRBY', 'all', String(n), '1'],
        ])
      const outcome = await pipeline.run({ onError: 'skip' })
      const bad = (n: number): boolean => n % 10 === 3
      const all = await mill.redis.hGetAll('all')
      const wrong = Array.from({ length: records }, (_, n) => n).filter((n) => all[n] !== (bad(n) ? '1' : '2'))
      expect(wrong).toEqual([])
      for (let i = 0; i < 40; i++) {
        const ofKey = Array.from({ length: records }, (_, n) => n).filter((n) => n % 40 === i)
        expect(await mill.redis.get(`first:${i}`)).toBe(String(ofKey.length))
        const last = ofKey.filter((n) => !bad(n)).length
        expect(await mill.redis.get(`last:${i}`)).toBe(last === 0 ? null : String(last))
      }
      // A dead letter of each failed record, with exactly what was not applied.
      expect(outcome.errors).toHaveLength(records / 10)
      for (const error of outcome.errors ?? []) {
        const commands = error.record as string[][]
        expect(error).toMatchObject({ code: 'EXECUTION_EFFECT', message: expect.stringContaining('WRONGTYPE') })
        expect(commands.map(([name]) => name)).toEqual(['HINCRBY', 'INCR', 'HINCRBY'])
        expect(bad(Number(commands[2]?.[2]))).toBe(true)
      }
      expect(new Set(outcome.errors?.map(({ record }) => (record as string[][])[2]?.[2])).size).toBe(records / 10)
      expect(outcome.written).toBe(records * 4 - (records / 10) * 2)
    },
  )
})
