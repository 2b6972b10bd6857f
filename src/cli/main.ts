#!/usr/bin/env node
// The program `gearmill`: connects the command line to this process.
import { runCli } from './program.ts'

const interruption = new AbortController()
for (const signal of ['SIGINT', 'SIGTERM'] as const) {
  process.on(signal, () => {
    // The second time is meant: no waiting for what the command still tidies up.
    if (interruption.signal.aborted) process.exit(signal === 'SIGINT' ? 130 : 143)
    interruption.abort(signal)
  })
}
// `gearmill ... | head`: who reads no more wants no more.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code === 'EPIPE') process.exit(0)
  process.stderr.write(`error UNKNOWN: stdout cannot be written: ${error.message}\n`)
  process.exit(1)
})
// A worker goes on where nobody reads its log any more, and an exit code is what it would have been.
process.stderr.on('error', () => {})

process.exitCode = await runCli(process.argv.slice(2), {
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  env: process.env,
  cwd: process.cwd(),
  signal: interruption.signal,
  exitCode: 0,
})
// What a connection that is being opened still waits for keeps no interrupted command.
if (process.exitCode === 130 || process.exitCode === 143) process.exit()
