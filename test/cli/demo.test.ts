// The main job, as `npm start` runs it, on small input.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { gearmill } from './command-line.ts'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'demo-'))
  const rows = Array.from({ length: 3000 }, (_, i) => `${i},"word${i % 5} and ""quoted""",x`)
  await writeFile(join(folder, 'a.csv'), `id,text,extra\n${rows.join('\n')}\n`)
  await writeFile(join(folder, 'b.csv'), `id,text,extra\n1,word0,x\n`)
})
afterAll(() => rm(folder, { recursive: true }))

it('counts the words of a column of the user’s own files', async () => {
  const { code, stdout } = await gearmill(['demo', '*.csv', '--column', 'text', '--json'], { cwd: folder })
  const { words } = JSON.parse(stdout) as { words: Record<string, unknown> & { top: unknown[] } }
  expect(code).toBe(0)
  expect(words).toMatchObject({ records: 3001, words: 9001, distinct: 7 })
  expect(words.top[2]).toEqual({ word: 'word0', count: 601 })
})

it('prints what it counted, and how fast', async () => {
  const { code, stdout } = await gearmill(['demo', 'b.csv', '--column', '1', '--executors', '1'], { cwd: folder })
  expect(code).toBe(0)
  expect(stdout).toContain('1 words, 1 distinct, in the sorted set demo:words')
  expect(stdout).toMatch(/1 lines in \d+\.\d+ s: [\d,]+ lines\/s/)
})

it('names a column that is not there, and a file that is not', async () => {
  expect(await gearmill(['demo', '--column', 'text'], { cwd: folder })).toMatchObject({ code: 2 })
  const wrong = await gearmill(['demo', 'a.csv', '--column', 'texts'], { cwd: folder })
  expect(wrong).toMatchObject({ code: 1, stdout: '' })
  expect(wrong.stderr).toContain('error PLAN_COLUMN')
  const missing = await gearmill(['demo', 'none.csv'], { cwd: folder })
  expect(missing.code).toBe(1)
  expect(missing.stderr).toContain('error PLAN_FILE: there is no file')
})
