// No executor outlives its supervisor, even one that user code holds, and no folder of either stays.
import { spawn, type ChildProcess } from 'node:child_process'
import { once } from 'node:events'
import { existsSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { standalone, until } from '../../fixtures/servers.ts'
import { isAlive } from '../../lab/lab.ts'

let folder: string
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'gearmill-parent-watch-'))
})
afterEach(() => rm(folder, { recursive: true, force: true }))

/** Starts a parent, and kills it when it has told of its child. Returns the child's pid. */
async function killed(file: string, ...args: readonly string[]): Promise<number> {
  const path = fileURLToPath(new URL(file, import.meta.url))
  const parent: ChildProcess & { stdout: NonNullable<ChildProcess['stdout']> } = spawn(
    process.execPath,
    ['--import', 'tsx', path, ...args],
    { stdio: ['ignore', 'pipe', 'inherit'], env: { ...process.env, TMPDIR: folder } },
  )
  const [line] = await once(createInterface(parent.stdout), 'line')
  const pid = Number(line)
  expect(isAlive(pid)).toBe(true)
  const exited = once(parent, 'exit')
  parent.kill('SIGKILL')
  await exited
  return pid
}

it('ends an executor whose event loop is held, and removes the folder of both', async () => {
  const pid = await killed('busy-client.ts', (await standalone()).url)
  await until(() => !isAlive(pid))
  await until(async () => !(await readdir(folder)).some((name) => name.startsWith('gearmill-scratch')))
  expect(isAlive(pid)).toBe(false)
})

it('ends a process whose event loop is held where nothing watches it', async () => {
  const scratch = join(folder, 'scratch', '0')
  const pid = await killed('self-watching-parent.ts', scratch)
  await until(() => !isAlive(pid))
  expect(existsSync(join(folder, 'scratch'))).toBe(false)
})
