import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { basename, join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { safeName } from '../../src/blocks/names.ts'
import { temporaryBlocks } from '../../src/blocks/temporary-blocks.ts'
import { bytesOf, readAll, write } from './conformance.ts'

let parent: string
beforeAll(async () => {
  parent = await mkdtemp(join(tmpdir(), 'gearmill-test-'))
})
afterAll(() => rm(parent, { recursive: true }))

test('a private directory that goes with its store', async () => {
  const store = await temporaryBlocks(parent)
  const other = await temporaryBlocks(parent)
  expect(other.dir).not.toBe(store.dir)
  expect((await stat(store.dir)).mode & 0o077).toBe(0)
  await write(store, 'o', 'n', [bytesOf(10)])
  expect(await readAll(store, 'o', 'n')).toStrictEqual([bytesOf(10)])
  await store.close()
  await store.close()
  expect(await readdir(parent)).toStrictEqual([basename(other.dir)])
  await other.close()
})

test('directories of dead processes of this host are removed, no others', async () => {
  const child = spawn(process.execPath, ['-e', ''])
  await once(child, 'exit')
  const prefix = `gearmill-blocks.${safeName(hostname())}`
  const stale = `${prefix}.${child.pid}.abc`
  const kept = [
    `${prefix}.${process.pid}.abc`,
    `${prefix}.x.abc`,
    `gearmill-blocks.elsewhere.${child.pid}.abc`,
    'other',
  ]
  for (const name of [stale, ...kept]) await mkdir(join(parent, name, 'owner'), { recursive: true })
  const store = await temporaryBlocks(parent)
  expect((await readdir(parent)).toSorted()).toStrictEqual([basename(store.dir), ...kept].toSorted())
  await store.close()
})

test('a parent that is not there is PLAN_FILE', async () => {
  await expect(temporaryBlocks(join(parent, 'nowhere'))).rejects.toThrow(expect.objectContaining({ code: 'PLAN_FILE' }))
})
