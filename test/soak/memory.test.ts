// Word count of much text in little memory: GEARMILL_SOAK_MB of it (default 4096), 300,000 distinct words. Linux only: the
// resident memory of each process is read from /proc, ten times a second.
import { execFile } from 'node:child_process'
import { link, mkdir, mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { afterAll, beforeAll, expect, it } from 'vitest'
import type { Manifest } from '../../bench/data/tweets.ts'
import { silent } from '../../src/engine/logger.ts'
import { textOf } from '../../src/redis/replies.ts'

const megabytes = Number(process.env.GEARMILL_SOAK_MB ?? 4096)
const filesMb = Math.min(megabytes, 512)

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'soak-memory-'))
  const script = new URL('../../bench/data/tweets.ts', import.meta.url).pathname
  await promisify(execFile)(process.execPath, ['--import', 'tsx', script, folder, String(filesMb), '4'])
})
afterAll(() => rm(folder, { recursive: true, force: true }))

async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'latin1').catch(() => '')
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) / 1024
}

it.runIf(process.platform === 'linux')('counts words in bounded memory', async () => {
  // The compiled package, in a process without the test runner's own memory, would be the client of a user; here only
  // executors and the server are held to their limits, and the client to what it grows by.
  const { local } = await import('../../src/index.ts')
  const mill = await local({ executors: 2, logger: silent })
  try {
    const manifest = JSON.parse(await readFile(join(folder, 'manifest.json'), 'utf8')) as Manifest
    // The same bytes under many names: what must not grow with the input does not know.
    const times = Math.max(1, Math.round(megabytes / filesMb))
    const before = process.memoryUsage.rss() / 1024 ** 2
    const most = { executor: 0, client: 0, server: 0 }
    const sample = async (): Promise<void> => {
      for (const pid of mill.executors.pids) most.executor = Math.max(most.executor, await residentMb(pid))
      most.client = Math.max(most.client, process.memoryUsage.rss() / 1024 ** 2 - before)
      most.server = Math.max(most.server, await serverMb())
    }
    const serverMb = async (): Promise<number> => {
      const info = textOf(await mill.redis.sendCommand(['INFO', 'memory']))
      return Number(/used_memory:(\d+)/.exec(info)?.[1]) / 1024 ** 2
    }
    for (let i = 0; i < times; i++) {
      await mkdir(join(folder, String(i)))
      for (const { file } of manifest.files) await link(join(folder, file), join(folder, String(i), file))
    }
    const execution = await mill
      .files(`${folder}/*/*.csv`, { format: 'csv', column: 'text' })
      .split(' ')
      .countBy()
      .toSortedSet('words')
      .start()
    for await (const _ of execution.progress()) await sample()
    await execution.result()
    expect((await execution.status()).stages[0]?.in).toBe(manifest.rows * times)
    const result = await serverMb()
    console.log(`memory: ${JSON.stringify({ ...most, result })} MiB for ${manifest.words} words, ${times} times`)
    expect(most.executor).toBeLessThan(300)
    expect(most.client).toBeLessThan(300)
    expect(most.server - result).toBeLessThan(100)
  } finally {
    await mill.close()
  }
})
