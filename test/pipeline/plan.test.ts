// Plans: what explain() says, that prefixes stay what they are, and that options are checked where they are given.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, it } from 'vitest'
import { memoryReaders } from './memory-engine.ts'

const folder = mkdtempSync(join(tmpdir(), 'gearmill-plan-'))
afterAll(() => rmSync(folder, { recursive: true, force: true }))
const read = memoryReaders()

describe('explain', () => {
  it('shows stages, splits, what is fused, what runs on columns and what is shuffled', async () => {
    const path = join(folder, 'tweets.csv')
    writeFileSync(path, `id,text\n${'1,"some text"\n'.repeat(100)}`)
    const plan = await read
      .files(path, { format: 'csv', column: 'text', splitBytes: 200 })
      .map((text) => text.trim())
      .filter((text) => text !== '')
      .lower()
      .split(' ')
      .countBy()
      .filter(({ value }) => value > 1)
      .sortBy(({ value }) => value, 'desc')
      .limit(10)
      .toSortedSet('top')
      .explain()
    expect(plan.toString()).toMatchInlineSnapshot(`
      "stage 0: 8 tasks
        input   files(tweets.csv, csv, column "text"), 8 splits
        fused   map(f) . filter(f)
        columns lower() . split(" ")
        output  shuffle countBy() into 2 partitions, combined first
      stage 1: 2 tasks
        input   merge countBy() of stage 0
        fused   filter(f)
        output  shuffle sortBy(f, 'desc') into 1 partition
      stage 2: 1 task
        input   merge sortBy(f, 'desc') of stage 1
        output  shuffle limit(10) into 1 partition
      stage 3: 1 task
        input   merge limit(10) of stage 2
        output  toSortedSet("top"), gathered
      stage 4: 1 task
        input   publish toSortedSet("top") of stage 3
        output  result
      server commands: ZADD, PEXPIRE, UNLINK, RENAME, PERSIST"
    `)
    expect(plan.toJSON().stages.map(({ tasks, partitions }) => [tasks, partitions])).toEqual([
      [8, 2],
      [2, 1],
      [1, 1],
      [1, 1],
      [1, 1],
    ])
    expect(JSON.parse(JSON.stringify(plan))).toEqual(plan.toJSON())
  })

  it('puts the stages of a joined pipeline in front of the join', async () => {
    const other = read.from(['a', 'b']).countBy()
    const joined = read.from([1, 2], { partitions: 2 }).join(other, { on: (one) => one, how: 'left' })
    expect((await joined.count().explain()).toString()).toMatchInlineSnapshot(`
      "stage 0: 1 task
        input   from(items), 1 split
        output  shuffle countBy() into 1 partition, combined first
      stage 1: 1 task
        input   merge countBy() of stage 0
        output  join(other, { how: 'left' }), whole for every task
      stage 2: 2 tasks
        input   from(items, { partitions: 2 }), 2 splits
        fused   join(other, { how: 'left' }) with all of stage 1
        output  shuffle count() into 1 partition, combined first
      stage 3: 1 task
        input   merge count() of stage 2
        output  result
      server commands: none"
    `)
  })

  it('shows how large sides of a join are shuffled, and small ones are not', async () => {
    const large = read.from([1, 2], { partitions: 2 }).flatMap((n) => [n])
    const joined = large.join(large, { on: (n) => n })
    expect((await joined.explain()).toString()).toMatchInlineSnapshot(`
      "stage 0: 2 tasks
        input   from(items, { partitions: 2 }), 2 splits
        fused   flatMap(f)
        output  shuffle join(other, { how: 'inner' }) into 1 partition
      stage 1: 2 tasks
        input   from(items, { partitions: 2 }), 2 splits
        fused   flatMap(f)
        output  shuffle join(other, { how: 'inner' }) into 1 partition
      stage 2: 1 task
        input   merge join(other, { how: 'inner' }) of stages 0 and 1
        output  result
      server commands: none"
    `)
    const beside = read.from([1, 2]).join(large, { on: (n) => n })
    expect((await beside.explain()).toString()).toMatchInlineSnapshot(`
      "stage 0: 1 task
        input   from(items), 1 split
        output  join(other, { how: 'inner' }), whole for every task
      stage 1: 2 tasks
        input   from(items, { partitions: 2 }), 2 splits
        fused   flatMap(f) . join(other, { how: 'inner' }) with all of stage 0
        output  result
      server commands: none"
    `)
    const outer = read.from([1, 2]).join(read.from([2, 3]), { on: (n) => n, how: 'outer' })
    expect((await outer.explain()).stages.map(({ output }) => output)).toEqual([
      `shuffle join(other, { how: 'outer' }) into 1 partition`,
      `shuffle join(other, { how: 'outer' }) into 1 partition`,
      'result',
    ])
  })

  it('shows sorting by ranges, where there are more than a few splits of many records', async () => {
    const input = read.from(
      Array.from({ length: 8 }, (_, i) => i),
      { partitions: 8 },
    )
    const many = input.flatMap((n) => [n]).sortBy((n) => n, 'desc')
    expect((await many.map((n) => n).explain()).toString()).toMatchInlineSnapshot(`
      "stage 0: 8 tasks
        input   from(items, { partitions: 8 }), 8 splits
        fused   flatMap(f)
        output  records for sortBy(f, 'desc'), with samples
      stage 1: 1 task
        input   samples of stage 0
        output  4 ranges for sortBy(f, 'desc')
      stage 2: 8 tasks
        input   records of stage 0, ranges of stage 1
        output  shuffle sortBy(f, 'desc') into 4 partitions
      stage 3: 4 tasks
        input   merge sortBy(f, 'desc') of stage 2
        fused   map(f)
        output  result
      server commands: none"
    `)
    expect((await input.sort().explain()).stages.map(({ output }) => output)).toEqual([
      'shuffle sort() into 1 partition',
      'result',
    ])
  })

  it('is the same each time, and runs nothing', async () => {
    const before = read.engine.submissions
    const pipeline = read.from([3, 1, 2], { partitions: 2 }).distinct().sort()
    expect((await pipeline.explain()).toString()).toBe((await pipeline.explain()).toString())
    expect((await pipeline.explain()).toString()).toMatchInlineSnapshot(`
      "stage 0: 2 tasks
        input   from(items, { partitions: 2 }), 2 splits
        output  shuffle distinct() into 1 partition, combined first
      stage 1: 1 task
        input   merge distinct() of stage 0
        output  shuffle sort() into 1 partition
      stage 2: 1 task
        input   merge sort() of stage 1
        output  result
      server commands: none"
    `)
    expect(read.engine.submissions).toBe(before)
    expect(read.engine.blocks.size).toBe(0)
  })
})

describe('builders', () => {
  it('leave the prefix as it was', async () => {
    const prefix = read.from(['a b', 'c'])
    const words = prefix.split(' ')
    const doubled = words.map((word) => word + word)
    const counted = words.count()
    expect(await doubled.run()).toEqual(['aa', 'bb', 'cc'])
    expect(await counted.run()).toEqual([3])
    expect(await words.run()).toEqual(['a', 'b', 'c'])
    expect(await prefix.run()).toEqual(['a b', 'c'])
    expect(Object.isFrozen(prefix)).toBe(true)
    const valued = prefix.with({ n: 1 })
    expect(valued).not.toBe(prefix)
  })

  it('refuse what is not allowed where it is given, with what was expected and what came', () => {
    const records = read.from([1])
    const wrong: [() => unknown, string][] = [
      [() => records.map('x' as never), `map: expected a function, got 'x'`],
      [() => records.limit(-1), 'limit: expected the number of records to be a whole number of at least 0, got -1'],
      [() => records.topK(1.5), 'topK: expected k to be a whole number of at least 0, got 1.5'],
      [() => records.sortBy((n) => n, 'up' as never), `sortBy: expected the direction to be 'asc' or 'desc', got 'up'`],
      [() => read.from(['a']).split(/x/ as never), 'split: expected the separator to be a string, got /x/'],
      [() => read.from(5 as never), 'from: expected an iterable or async iterable, got 5'],
      [() => read.from([], { partitions: 0 }), 'from: expected partitions to be a whole number of at least 1, got 0'],
      [
        () => read.keys('*', { typ: 'hash' } as never),
        `keys: expected options among type, values, binary, got { typ: 'hash' }`,
      ],
      [
        () => read.files('x', { format: 'xml' as never }),
        `files: expected format to be 'lines' or 'csv' or 'jsonl' or 'bytes', got 'xml'`,
      ],
      [() => read.files([]), 'files: expected a path, a glob or a list of them, got []'],
      [() => read.files('x', { column: 'a' }), `files: expected column beside format: 'csv', got { column: 'a' }`],
      [
        () => read.files('x', { encoding: 'klingon' }),
        'files: expected encoding to be a label of the encoding standard, such as utf-8 or latin1, got ',
      ],
      [() => records.countBy().toSortedSet(''), `toSortedSet: expected the key to be a text, got ''`],
      [() => records.with(1 as never), 'with: expected an object of named values, got 1'],
    ]
    for (const [call, message] of wrong) {
      expect(call).toThrowError(
        expect.objectContaining({ code: 'PLAN_OPTION', message: expect.stringContaining(message) }),
      )
    }
  })

  it('refuse options of runs', async () => {
    const records = read.from([1])
    for (const options of [{ timeoutMs: -1 }, { maxErrors: 1 }, { onError: 'stop' }, { timeout: 1 }, { id: '' }]) {
      await expect(records.run(options as never)).rejects.toMatchObject({ code: 'PLAN_OPTION' })
    }
  })
})
