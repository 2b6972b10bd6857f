// Runs the command line inside of the test process, with its output as text.
import { Readable, Writable } from 'node:stream'
import type { Cli } from '../../src/cli/cli.ts'
import { runCli } from '../../src/cli/program.ts'

export interface Outcome {
  readonly code: number
  readonly stdout: string
  readonly stderr: string
}

export async function gearmill(
  args: readonly string[],
  options: Partial<Pick<Cli, 'env' | 'cwd' | 'signal' | 'stdin'>> = {},
): Promise<Outcome> {
  const [stdout, stderr] = [new Sink(), new Sink()]
  const { signal } = new AbortController()
  const cli: Cli = {
    env: { PATH: process.env.PATH },
    cwd: process.cwd(),
    stdin: Readable.from([]),
    signal,
    ...options,
    stdout,
    stderr,
    exitCode: 0,
  }
  const code = await runCli(args, cli)
  return { code, stdout: stdout.text, stderr: stderr.text }
}

class Sink extends Writable {
  text = ''
  override _write(chunk: Buffer, _encoding: BufferEncoding, done: () => void): void {
    this.text += chunk.toString()
    done()
  }
}
