// The worker as a service: it announces itself, drains when told to stop, and leaves nothing.
import { once } from 'node:events'
import { spawn, type ChildProcess } from 'node:child_process'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { gearmill } from './command-line.ts'

const program = new URL('../../dist/cli/main.js', import.meta.url).pathname

let server: PrivateServer
beforeAll(async () => {
  server = await startServer()
})
afterAll(() => server.stop())

/** Resolves when stderr has said it. */
function heard(child: ChildProcess, words: string): Promise<string> {
  return new Promise((resolve, reject) => {
    let text = ''
    child.stderr?.setEncoding('utf8').on('data', (chunk: string) => {
      text += chunk
      if (text.includes(words)) resolve(text)
    })
    child.on('close', (code) => reject(new TypeError(`ended with ${code}: ${text}`)))
  })
}

async function liveWorkers(): Promise<string | undefined> {
  const { stdout } = await gearmill(['doctor', '--url', server.url, '--group', 'g'])
  return /^\w+ +workers +(.*)$/m.exec(stdout)?.[1]
}

describe('gearmill worker', () => {
  it.each([['SIGTERM'], ['SIGINT']] as const)('serves until %s, then leaves', async (signal) => {
    const child = spawn(
      process.execPath,
      [program, 'worker', '--url', server.url, '--group', 'g', '--executors', '3'],
      {
        stdio: ['ignore', 'pipe', 'pipe'],
      },
    )
    const closed = once(child, 'close')
    expect(await heard(child, "serves 'g'")).toContain('with 3 executors')
    expect(await liveWorkers()).toMatch(/^1 of the group 'g' with 3 executors/)
    child.kill(signal)
    expect(await closed).toEqual([0, null])
    expect(await liveWorkers()).toBe("none of the group 'g' is alive")
  })

  it('ends soon after the grace where its server is away', async () => {
    const own = await startServer()
    const child = spawn(process.execPath, [program, 'worker', '--url', own.url, '--executors', '1', '--grace', '0'], {
      stdio: ['ignore', 'ignore', 'pipe'],
    })
    const closed = once(child, 'close')
    let said = ''
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (said += chunk))
    expect(await heard(child, 'serves')).toContain('with 1 executor\n')
    await own.stop()
    child.kill('SIGTERM')
    expect(await closed).toEqual([0, null])
    // Not when the last command gave up.
    expect(said).not.toContain('took no command')
  })

  it('ends with 3 where it cannot connect', async () => {
    const outcome = await gearmill(['worker', '--url', 'redis://127.0.0.1:1', '--json'])
    expect(outcome).toMatchObject({ code: 3, stdout: '' })
    expect(JSON.parse(outcome.stderr)).toMatchObject({ error: { code: 'CONNECT_REFUSED' } })
  })

  it('ends with 2 at a URL or number it cannot use', async () => {
    expect(await gearmill(['worker', '--url', 'http://x'])).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('error CONNECT_URL'),
    })
    expect(await gearmill(['worker', '--executors', '0'])).toMatchObject({ code: 2 })
  })
})
