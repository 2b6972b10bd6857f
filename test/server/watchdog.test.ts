import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { describe, expect, onTestFinished, test } from 'vitest'
import { startServer } from '../../src/server/standalone.ts'
import { raw, until } from '../fixtures/servers.ts'

const parentFile = fileURLToPath(new URL('../fixtures/server-parent.ts', import.meta.url))

interface Announcement {
  readonly pids: readonly number[]
  readonly directories: readonly string[]
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch {
    return false
  }
}

test.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)('nothing outlives a process that ends by %s', async (signal) => {
  const dir = await mkdtemp(join(tmpdir(), 'kept by a test '))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const parent = spawn(process.execPath, ['--import', 'tsx', parentFile, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface(parent.stdout), 'line')
  const { pids, directories }: Announcement = JSON.parse(String(line))
  expect(pids).toHaveLength(5)
  expect(pids.filter(isAlive)).toEqual(pids)
  // A server that hangs is ended as well.
  process.kill(pids[1] ?? 0, 'SIGSTOP')
  const exited = once(parent, 'exit')
  parent.kill(signal)
  await exited
  await until(() => !pids.some(isAlive) && !directories.some((directory) => existsSync(directory)))
  expect(existsSync(dir)).toBe(true)
})

/** With a watchdog that took the place of one that was killed; the pid is of the process that it watches. */
async function startWithReplaced() {
  const file = fileURLToPath(new URL('../fixtures/watchdog-parent.ts', import.meta.url))
  const parent = spawn(process.execPath, ['--import', 'tsx', file], { stdio: ['pipe', 'pipe', 'inherit'] })
  const lines = createInterface(parent.stdout)
  const [line] = await once(lines, 'line')
  return { parent, lines, pid: Number(line) }
}

describe.skipIf(!existsSync('/proc/self'))('a watchdog that was killed', () => {
  test('is replaced by one that has forgotten nothing', async () => {
    const { parent, pid } = await startWithReplaced()
    expect(isAlive(pid)).toBe(true)
    const exited = once(parent, 'exit')
    parent.kill('SIGKILL')
    await exited
    await until(() => !isAlive(pid))
  })

  test('is replaced by one that ends when there is nothing left to watch', async () => {
    const { parent, lines } = await startWithReplaced()
    const exited = once(parent, 'exit')
    parent.stdin.end('forget\n')
    expect(await once(lines, 'line')).toEqual(['none'])
    expect(await exited).toEqual([0, null])
  })
})

test('a kept server saves its data when its process is killed', async () => {
  const dir = await mkdtemp(join(tmpdir(), 'kept by a test '))
  onTestFinished(() => rm(dir, { recursive: true, force: true }))
  const parent = spawn(process.execPath, ['--import', 'tsx', parentFile, dir], { stdio: ['ignore', 'pipe', 'inherit'] })
  const [line] = await once(createInterface(parent.stdout), 'line')
  const { pids, url }: Announcement & { url: string } = JSON.parse(String(line))
  await raw({ ...nowhere, port: Number(new URL(url).port) }, 'SET', 'key', 'value')
  const exited = once(parent, 'exit')
  parent.kill('SIGKILL')
  await exited
  // At once: the new server waits for the old one to be gone.
  await using again = await startServer({ dir, persistence: 'rdb' })
  expect(await raw(again, 'GET', 'key')).toBe('value')
  await until(() => !pids.some(isAlive))
})

const nowhere = {
  url: '',
  pid: 0,
  dir: '',
  stop: () => Promise.resolve(),
  kill: () => Promise.resolve(),
  restart: () => Promise.resolve(),
  [Symbol.asyncDispose]: () => Promise.resolve(),
}
