// Scripts run as processes of their own, with the flags as environment and their exit code as ours.
import { once } from 'node:events'
import { spawn } from 'node:child_process'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { text } from 'node:stream/consumers'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { gearmill } from './command-line.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

let cwd: string
beforeEach(async () => {
  cwd = await mkdtemp(join(tmpdir(), 'gearmill-run-'))
})
afterEach(() => rm(cwd, { recursive: true }))

/** The program as a process, for what goes to its real stdout. */
async function run(...args: string[]): Promise<{ code: number | null; stdout: string }> {
  const child = spawn(process.execPath, [program, 'run', ...args], { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
  let stdout = ''
  child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
  const [code] = (await once(child, 'close')) as [number | null]
  return { code, stdout }
}

describe('gearmill run', () => {
  it('hands on arguments, the URL and the namespace, and ends as the script does', async () => {
    await writeFile(
      join(cwd, 'script.mjs'),
      `console.log(JSON.stringify([process.argv.slice(2), process.env.GEARMILL_URL, process.env.GEARMILL_NAMESPACE])); process.exit(7)`,
    )
    const { code, stdout } = await run('--url', 'redis://h:1', '--namespace', 'n', 'script.mjs', '--json', '-x', 'y')
    expect(JSON.parse(stdout)).toEqual([['--json', '-x', 'y'], 'redis://h:1', 'n'])
    expect(code).toBe(7)
  })

  it('runs TypeScript', async () => {
    await writeFile(join(cwd, 'script.mts'), `const n: number = 3\nenum E { A = 4 }\nconsole.log(n + E.A)\n`)
    expect(await run('script.mts')).toEqual({ code: 0, stdout: '7\n' })
  })

  it('ends with 128 + n where a signal ended the script', async () => {
    await writeFile(join(cwd, 'script.mjs'), `process.kill(process.pid, 'SIGKILL'); setInterval(() => {}, 1000)`)
    expect(await run('script.mjs')).toEqual({ code: 137, stdout: '' })
  })

  it('hands an interruption on and waits for the script', async () => {
    await writeFile(
      join(cwd, 'script.mjs'),
      `process.on('SIGTERM', () => { console.log('tidied up'); process.exit(5) }); setInterval(() => {}, 1000); console.log('ready')`,
    )
    const child = spawn(process.execPath, [program, 'run', 'script.mjs'], { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
    const closed = once(child, 'close')
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
      if (chunk.includes('ready')) child.kill('SIGTERM')
    })
    expect(await closed).toEqual([5, null])
    expect(stdout).toBe('ready\ntidied up\n')
  })

  it('ends the script with itself when it is told twice', async () => {
    await writeFile(
      join(cwd, 'script.mjs'),
      `process.on('SIGTERM', () => console.log('told')); setInterval(() => {}, 1000); console.log(process.pid)`,
    )
    const child = spawn(process.execPath, [program, 'run', 'script.mjs'], { cwd, stdio: ['ignore', 'pipe', 'inherit'] })
    // Its stdout ends when the script has let go of it too.
    const closed = once(child, 'close')
    let stdout = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      stdout += chunk
      child.kill('SIGTERM')
    })
    expect(await closed).toEqual([143, null])
    expect(stdout).toMatch(/^\d+\ntold\n$/)
  })

  it('says what is missing where a script awaits in a package that is CommonJS', async () => {
    await writeFile(join(cwd, 'app.ts'), `const n = await Promise.resolve(1)\nconsole.log(n)\n`)
    await writeFile(join(cwd, 'package.json'), '{ "type": "commonjs" }')
    const ending = async (): Promise<readonly [number | null, string]> => {
      const child = spawn(process.execPath, [program, 'run', 'app.ts'], { cwd, stdio: ['ignore', 'ignore', 'pipe'] })
      const [stderr] = await Promise.all([text(child.stderr), once(child, 'close')])
      return [child.exitCode, stderr]
    }
    expect(await ending()).toEqual([1, expect.stringContaining('npm pkg set type=module')])
    await writeFile(join(cwd, 'package.json'), '{ "type": "module" }')
    expect(await ending()).toEqual([0, ''])
  })

  it('refuses a folder', async () => {
    expect(await gearmill(['run', '.'], { cwd })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`error PLAN_FILE: ${cwd} is a directory`),
    })
  })

  it('says which file is missing', async () => {
    expect(await gearmill(['run', 'no.ts'], { cwd })).toMatchObject({
      code: 1,
      stderr: expect.stringContaining(`error PLAN_FILE: ${join(cwd, 'no.ts')} cannot be read`),
    })
  })
})
