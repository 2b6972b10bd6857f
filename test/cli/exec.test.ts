// `gearmill exec`, and scripts and realms on `gearmill worker`: who runs what, with and without a secret.
import { once } from 'node:events'
import { spawn, type ChildProcess } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { Readable } from 'node:stream'
import { afterEach, beforeEach, expect, it } from 'vitest'
import { connect, type Mill } from '../../src/index.ts'
import { describeTopologies, flush, until } from '../fixtures/servers.ts'
import { gearmill, type Outcome } from './command-line.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

describeTopologies('scripts and realms on workers', (topology) => {
  let url: string
  let mill: Mill
  const workers: ChildProcess[] = []
  beforeEach(async () => {
    url = await topology.url()
    mill = await connect({ url, workers: 'remote' })
  })
  afterEach(async () => {
    await mill.close()
    await Promise.all(
      workers.splice(0).map(async (worker) => {
        const closed = once(worker, 'close')
        worker.kill('SIGTERM')
        await closed
      }),
    )
    await flush()
  })

  async function work(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
    const all = [program, 'worker', '--url', url, '--executors', '1', '--grace', '0', ...args]
    workers.push(spawn(process.execPath, all, { stdio: 'ignore', env: { PATH: process.env.PATH, ...env } }))
    const { length } = workers
    await until(async () => (await mill.redis.zCard('gm:{gm0}:live:remote')) === length)
  }
  const exec = (args: readonly string[], more: Parameters<typeof gearmill>[1] = {}): Promise<Outcome> =>
    gearmill(['exec', ...args, '--url', url], more)

  it('prints what a script gives: from an argument, a file or stdin', async () => {
    await work(['--allow-scripts'])
    expect(await exec(['from([1, 2]).map((n) => ({ n }))'])).toEqual({
      code: 0,
      stdout: '{"n":1}\n{"n":2}\n',
      stderr: '',
    })
    expect(await exec(['--json', 'from([3, 4])'])).toMatchObject({ code: 0, stdout: '[3,4]\n' })
    const folder = await mkdtemp(join(tmpdir(), 'gearmill-exec-'))
    try {
      await writeFile(join(folder, 'script.js'), 'const n = 20\nn + 1\n')
      expect(await exec(['--file', 'script.js'], { cwd: folder })).toMatchObject({ code: 0, stdout: '21\n' })
      expect(await exec(['--file', 'none.js'], { cwd: folder })).toMatchObject({ code: 1 })
    } finally {
      await rm(folder, { recursive: true })
    }
    expect(await exec(['-'], { stdin: Readable.from(["'piped'"]) })).toMatchObject({ code: 0, stdout: '"piped"\n' })
    const failed = await exec(['\nthrow new Error("no")', '--json'])
    expect(failed.code).toBe(1)
    expect(JSON.parse(failed.stderr)).toMatchObject({
      error: { code: 'EXECUTION_SCRIPT', message: 'script:2: Error: no' },
    })
    expect(await exec([])).toMatchObject({ code: 2 })
    const { stdout: id } = await exec(['--unblocking', '7'])
    const execution = await mill.executions.get(id.trim())
    expect(await execution.result()).toEqual([7])
  })

  it('are refused by workers that do not allow them, and taken by the one that does', async () => {
    expect(JSON.parse((await exec(['1', '--json'])).stderr)).toMatchObject({ error: { code: 'EXECUTION_NO_WORKER' } })
    await work([])
    await expect(mill.exec('1 + 1')).rejects.toMatchObject({ code: 'EXECUTION_SCRIPT_REFUSED' })
    const id = await mill.redis.sendCommand(['FCALL', 'gm_exec', '1', 'gm:{gm0}', '1 + 1'])
    const key = `gm:{gm0}:reply:${id as string}`
    await until(async () => (await mill.redis.lLen(key)) > 0)
    expect(JSON.parse((await mill.redis.lPop(key)) ?? '')).toMatchObject({
      error: { code: 'EXECUTION_SCRIPT_REFUSED' },
    })
    await work(['--allow-scripts'])
    expect(await mill.exec('1 + 1')).toBe(2)
  })

  it('run anywhere when they are signed', async () => {
    const GEARMILL_SECRET = 'between us'
    await work([], { GEARMILL_SECRET })
    await expect(mill.exec('1')).rejects.toMatchObject({ code: 'EXECUTION_SCRIPT_REFUSED' })
    const env = { PATH: process.env.PATH, GEARMILL_SECRET }
    expect(await exec(['from([2]).map((n) => n * 2)'], { env })).toMatchObject({ code: 0, stdout: '4\n' })
    const stranger = await exec(['1', '--json'], { env: { ...env, GEARMILL_SECRET: 'another' } })
    expect(JSON.parse(stranger.stderr)).toMatchObject({ error: { code: 'CAPTURE_SIGNATURE' } })
  })

  it('realms: share state in a worker, isolated or not, until nobody keeps them', async () => {
    await work([])
    let count = 0
    const next = async (of: Pick<Mill, 'submit'>): Promise<readonly number[]> =>
      (await of.submit(() => [++count, process.pid])).result()
    const [shared, isolated] = [mill.realm('shared'), mill.realm('isolated', { isolate: { memoryMb: 512 } })]
    const [[one, pid], [two]] = [await next(shared), await next(shared)]
    expect([one, two]).toEqual([1, 2])
    const [apart, own] = await next(isolated)
    expect(apart).toBe(1)
    expect(own).not.toBe(pid)
    expect(await isolated.stats()).toMatchObject({ executors: 1, references: 1 })
    const alive = (): boolean => {
      try {
        return process.kill(own as number, 0)
      } catch {
        return false
      }
    }
    expect(alive()).toBe(true)
    await isolated.close()
    await until(() => !alive())
  })
})
