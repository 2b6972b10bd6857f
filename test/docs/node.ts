// Runs Node as a user's shell would: with what that has in its environment, and nothing of the test runner's.
import { spawn } from 'node:child_process'

export interface Ended {
  readonly code: number | null
  readonly stdout: string
  /** Without the logger's lines: on a busy machine a connection may take its time, and it says so. */
  readonly stderr: string
}

/** A script that is not done by then is ended, so that its test fails with what it said, and not without. */
const mostMs = 110_000
/** Of tests that run scripts: those may wait for a machine that others work on. */
export const testTimeout = mostMs + 10_000

export const tsx = ['--import', import.meta.resolve('tsx')] as const

export function node(args: readonly string[], cwd: string, more: NodeJS.ProcessEnv = {}): Promise<Ended> {
  const { GEARMILL_SERVER, HOME, PATH, TMPDIR } = process.env
  const env = { GEARMILL_SERVER, HOME, PATH, TMPDIR, NO_COLOR: '1', ...more }
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, args, {
      cwd,
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      timeout: mostMs,
      killSignal: 'SIGKILL',
    })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => (stdout += chunk))
    child.stderr.setEncoding('utf8').on('data', (chunk: string) => (stderr += chunk))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, stdout, stderr: stderr.replaceAll(/^gearmill: .*\n/gm, '') }))
  })
}
