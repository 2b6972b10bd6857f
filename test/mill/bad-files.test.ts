// Files that are missing, locked, broken or no text: a coded error with file and line, and everything else processed.
import { chmodSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { standalone } from '../fixtures/servers.ts'
import { expectCaller, expectFailure, expectNothingLeft, expectRefusal } from './bad-input.ts'

const here = import.meta.url
const skip = { onError: 'skip' } as const
const namespace = `badfiles${process.pid}`
const folder = mkdtempSync(join(tmpdir(), 'gearmill-bad-files-'))
chmodSync(folder, 0o755)
const file = (name: string, content: string | Uint8Array): string => {
  const path = join(folder, name)
  writeFileSync(path, content)
  return path
}
// Every byte there is, without order.
const binary = Uint8Array.from({ length: 5000 }, (_, i) => (i * 7919 + (i >> 3)) % 256)

let mill: Mill
beforeAll(async () => {
  mill = await connect({ url: (await standalone()).url, namespace, executors: 2 })
})
afterAll(async () => {
  await mill.close()
  rmSync(folder, { recursive: true, force: true })
  await expectNothingLeft([await standalone()], namespace)
})

/** As a user who is not root, to whom rights mean something. */
async function unprivileged<T>(body: () => Promise<T>): Promise<T> {
  const root = process.geteuid?.() === 0
  if (root) process.seteuid?.(65_534)
  try {
    return await body()
  } finally {
    if (root) process.seteuid?.(0)
  }
}

describe('a path', () => {
  it('that is not there', async () => {
    const missing = join(folder, 'none.csv')
    for (const path of [missing, join(folder, 'no-folder', 'none.csv')]) {
      const reader = mill.files(path, { format: 'csv' })
      const error = await expectRefusal(reader.run(), 'PLAN_FILE')
      expect(error.message).toContain(path)
      expectCaller(error, here, 'mill.files(path')
    }
    const error = await expectRefusal(mill.files(join(folder, 'no-folder', '*.csv')).run(), 'PLAN_NO_MATCH')
    expect(error.message).toContain(join(folder, 'no-folder'))
    file('there.txt', 'a')
    await expectRefusal(mill.files(join(folder, '*.none')).run(), 'PLAN_NO_MATCH')
  })

  it('that must not be read', async () => {
    const locked = join(folder, 'locked')
    mkdirSync(locked)
    const inside = file('locked/a.txt', 'a\n')
    const secret = file('secret.txt', 'a\n')
    chmodSync(locked, 0o000)
    chmodSync(secret, 0o000)
    for (const path of [locked, inside, `${locked}/*.txt`, secret]) {
      const error = await unprivileged(() => expectRefusal(mill.files(path).run(), 'PLAN_FILE'))
      expect(error.message).toContain(path)
      expect(error.message).toContain('EACCES')
      expectCaller(error, here, 'mill.files(path)')
    }
    chmodSync(locked, 0o755)
  })

  it('that leads in a circle', async () => {
    const loop = join(folder, 'loop')
    symlinkSync(loop, loop)
    expect((await expectRefusal(mill.files(loop).run(), 'PLAN_FILE')).message).toContain('ELOOP')
  })

  it('of a file that goes away after the start: its records are missing, others are not', async () => {
    const gone = file('gone.txt', '1\n2\n')
    const kept = file('kept.txt', '3\n4\n')
    // A split for each file, and time enough between its start and its first task, on a busy machine too.
    const execution = await mill.files([gone, kept], { splitBytes: 4 }).start({ delayMs: 3000 })
    unlinkSync(gone)
    const error = await expectFailure<string>(execution.result(), 'EXECUTION_FAILED')
    expect(error.results).toEqual(['3', '4'])
    expect(error.errors[0]).toMatchObject({ code: 'PLAN_FILE', message: expect.stringContaining(gone) as string })
    expectCaller(error.errors[0], here, 'mill.files([gone')
  })
})

describe('content', () => {
  it('broken CSV rows: file and line, and all other rows', async () => {
    const path = file('broken.csv', 'id,text\n1,a\n2,"x\ny"\n3,c,d\n4\n5,"open\n6,f\n')
    for (const splitBytes of [5, 1000]) {
      const { results, errors } = await mill.files(path, { format: 'csv', splitBytes }).run(skip)
      expect(results.map(({ id }) => id)).toEqual(['1', '2', '6'])
      expect(errors.map(({ code, place }) => `${code} ${place}`)).toEqual(
        [5, 6, 7].map((line) => `PLAN_CSV ${path}:${line}`),
      )
      for (const error of errors) {
        expect(error.message).toContain(error.place)
        expectCaller(error, here, 'mill.files(path')
      }
    }
  })

  it('a column that is not there', async () => {
    const error = await expectRefusal(
      mill.files(file('c.csv', 'id,text\n1,a\n'), { format: 'csv', column: 'txt' }).run(),
      'PLAN_COLUMN',
    )
    expect(error.message).toContain('"txt"')
    expect(error.message).toContain('"id", "text"')
  })

  it('a binary file', async () => {
    const path = file('binary', binary)
    const lines = new TextDecoder('latin1').decode(binary).split('\n').length
    expect(await mill.files(path).count().run()).toEqual([lines])
    const strict = await mill.files(path, { fatal: true }).run(skip)
    expect(strict.results.length + strict.errors.length).toBe(lines)
    expect(strict.errors.length).toBeGreaterThan(0)
    for (const error of strict.errors) {
      expect(error.code).toBe('PLAN_ENCODING')
      expect(error.place).toMatch(/binary:\d+$/)
    }
    const { errors } = await mill.files(path, { format: 'csv' }).run(skip)
    expect(new Set(errors.map(({ code }) => code))).toEqual(new Set(['PLAN_CSV']))
    const json = await mill.files(path, { format: 'jsonl' }).run(skip)
    expect(json.results).toEqual([])
    expect(json.errors[0]).toMatchObject({ code: 'PLAN_JSON', place: `${path}:1` })
  })

  it('a line that is not JSON', async () => {
    const path = file('lines.jsonl', '{"a":1}\n{"a":\n{"a":3}\n')
    const error = await expectFailure(mill.files(path, { format: 'jsonl' }).run(), 'EXECUTION_FAILED')
    expect(error.results).toEqual([{ a: 1 }, { a: 3 }])
    expect(error.errors).toMatchObject([{ code: 'PLAN_JSON', place: `${path}:2`, record: '{"a":' }])
  })
})

describe('nothing at all', () => {
  it('is no error', async () => {
    mkdirSync(join(folder, 'empty'))
    const nothing = [
      mill.from<number>([]),
      mill.files(file('empty.txt', '')),
      mill.files(file('empty.csv', ''), { format: 'csv' }),
      mill.files(join(folder, 'empty')),
      mill.files(join(folder, 'empty', '*')),
      mill.keys('no:such:key:*', { values: false }),
      mill.keys('no:such:key:*'),
    ]
    for (const pipeline of nothing) {
      expect(await pipeline.run()).toEqual([])
      expect(await pipeline.count().run()).toEqual([0])
      expect(await pipeline.sort().run()).toEqual([])
      expect(await pipeline.countBy().run(skip)).toEqual({ results: [], errors: [] })
    }
  })
})
