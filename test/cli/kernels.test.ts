// `gearmill kernels`, with a worker and without.
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { gearmill } from './command-line.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

let server: PrivateServer
let folder: string
const kernels = (...args: string[]) => gearmill(['kernels', ...args, '--url', server.url])
beforeAll(async () => {
  server = await startServer()
  folder = await mkdtemp(join(tmpdir(), 'gearmill-kernels-'))
  await writeFile(
    join(folder, 'twice.ts'),
    "export const params = ['number'] as const\nexport default function twice(n: number) {\n  return next('say', n * 2).do('INCR', 'runs')\n}\n",
  )
  await writeFile(join(folder, 'say.js'), 'function say(n) {\n  return done({ said: n })\n}\n')
})
afterAll(async () => {
  await rm(folder, { recursive: true })
  await server.stop()
})

it('refuses flags of another action', async () => {
  for (const [flag, owner] of [['--timeout', 'push'] as const, ['--memory', 'push'] as const]) {
    const { code, stderr } = await kernels('run', 'say', flag, '5')
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining(`${flag} belongs to ${owner}`) })
    expect(stderr).toContain('See: gearmill help kernels\n')
  }
  expect(await kernels('push', folder, '--id', 'x')).toMatchObject({ code: 2 })
})

it('says which folder cannot be read, and why', async () => {
  const path = join(folder, 'none')
  const { code, stderr } = await kernels('push', path)
  expect(code).toBe(1)
  expect(stderr).toContain(`error PLAN_FILE: cannot read ${path}: ENOENT`)
})

it('stores a folder, shows it, and runs chains without a worker', async () => {
  expect(await kernels('ls')).toMatchObject({ code: 0, stderr: 'no kernels\n' })
  expect(await kernels('push', folder, '--timeout', '60000')).toMatchObject({ code: 0, stderr: 'stored say, twice\n' })
  expect((await kernels('show', 'say')).stdout).toBe('function say(n) {\n  return done({ said: n })\n}\n')
  const ran = await kernels('run', 'twice', '21', '--id', 'one')
  expect(ran).toMatchObject({ code: 0, stdout: '{"said":42}\n', stderr: 'chain one\n' })
  const traced = await kernels('trace', 'one')
  expect(traced.stdout).toMatch(/^step +attempt +kernel +version/)
  expect(traced.stdout).toMatch(/1 +1 +twice +[0-9a-f]{12} +[\d.]+ +\["21"\] +1 +say\n/)
  expect(JSON.parse((await kernels('trace', 'one', '--json')).stdout)).toMatchObject([{ step: 1 }, { step: 2 }])
  expect((await kernels('ls')).stdout).toMatch(/twice +[0-9a-f]{12} +sandbox +1 +0 /)
  expect(JSON.parse((await kernels('ls', '--json')).stdout)).toMatchObject([{ name: 'say' }, { name: 'twice' }])
})

it('tells what failed, and resumes it', async () => {
  await writeFile(join(folder, 'say.js'), "function say(n) {\n  throw new Error('mute')\n}\n")
  await kernels('push', folder, '--timeout', '60000')
  const failed = await kernels('run', 'twice', '1', '--id', 'two')
  expect(failed).toMatchObject({ code: 1, stdout: '' })
  expect(failed.stderr).toContain('KERNEL_THREW')
  expect((await kernels('trace', 'two')).stdout).toContain('KERNEL_THREW')
  const traced = JSON.parse((await kernels('trace', 'two', '--json')).stdout) as unknown
  expect(traced).toMatchObject([
    { step: 1 },
    { error: { code: 'KERNEL_THREW', message: expect.stringMatching('mute') } },
  ])
  await writeFile(join(folder, 'say.js'), 'function say(n) {\n  return done(n)\n}\n')
  await kernels('push', folder, '--timeout', '60000')
  expect(await kernels('resume', 'two')).toMatchObject({ code: 0, stderr: '1 step is tried again\n' })
  expect(await kernels('run', 'twice', '1', '--id', 'two')).toMatchObject({ code: 0, stdout: '2\n' })
  expect(await kernels('trace', 'three')).toMatchObject({ code: 1, stderr: expect.stringContaining('KERNEL_CHAIN') })
  for (const wrong of [['show'], ['show', 'say', 'twice'], ['ls', 'say'], ['remove', 'say', 'twice']]) {
    expect(await kernels(...wrong)).toMatchObject({ code: 2, stdout: '' })
  }
  const json = async (...args: string[]) => JSON.parse((await kernels(...args, '--json')).stdout) as unknown
  expect(await json('abort', 'two')).toEqual({ id: 'two', aborted: false })
  expect(await json('remove', 'nothing')).toEqual({ name: 'nothing', removed: false })
  expect(await kernels('remove', 'say')).toMatchObject({ code: 0, stderr: 'say is removed\n' })
})

it('leaves chains to workers', async () => {
  await kernels('push', folder, '--timeout', '60000')
  const { stdout } = await kernels('run', 'twice', '4', '--detach')
  const worker = spawn(process.execPath, [program, 'worker', '--url', server.url, '--executors', '1'], {
    stdio: 'ignore',
  })
  const closed = once(worker, 'close')
  try {
    const id = stdout.trim()
    expect(await kernels('run', 'twice', '4', '--id', id)).toMatchObject({ stdout: '8\n' })
  } finally {
    worker.kill('SIGTERM')
    await closed
  }
})
