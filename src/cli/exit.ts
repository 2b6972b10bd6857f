// How commands end: exit codes, and errors as people (or, with --json, programs) read them.
import { CommanderError } from 'commander'
import { GearmillError } from '../errors.ts'
import type { Cli } from './cli.ts'

/** The exit codes and what each says; docs/cli.md is generated from this. */
export const exitCodes = {
  0: 'Done.',
  1: 'Failed: the error says why. `run` ends with the code of the script instead.',
  2: 'Not started: an unknown command or flag, a wrong value, or a configuration that is not valid.',
  3: 'No connection: the server does not answer, refuses the credentials, or is too old.',
  130: 'Interrupted with Ctrl-C (143: by SIGTERM). A worker that could stop in order ends with 0.',
} as const

/** What a failed command says, as --json prints it under `error`. */
export interface ErrorReport {
  readonly code: string
  readonly message: string
  readonly hint?: string
  readonly cause?: string
}

/** What comes of it where a command is interrupted: its execution is aborted, its connection closed. */
const consequences: readonly string[] = ['EXECUTION_ABORTED', 'CONNECT_CLOSED']

/** Whether an error says no more than that the command was interrupted. */
export function isInterruption(error: unknown, cli: Cli): boolean {
  if (!cli.signal.aborted) return false
  if (error instanceof GearmillError) return consequences.includes(error.code)
  return error === cli.signal.reason || (error instanceof Error && error.name === 'AbortError')
}

export function exitCodeOf(error: unknown, cli: Cli): number {
  if (isInterruption(error, cli)) return cli.signal.reason === 'SIGTERM' ? 143 : 130
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2
  if (!(error instanceof GearmillError)) return 1
  if (error.code.startsWith('CONFIG_') || error.code === 'CONNECT_URL') return 2
  return error.code.startsWith('CONNECT_') ? 3 : 1
}

export function reportOf(error: unknown, command = ''): ErrorReport {
  if (error instanceof CommanderError) {
    const hint = `See: gearmill help ${command}`.trimEnd()
    return { code: 'USAGE', message: error.message.replace(/^error: /, ''), hint }
  }
  if (!(error instanceof Error)) return { code: 'UNKNOWN', message: String(error) }
  if (!(error instanceof GearmillError)) return { code: 'UNKNOWN', message: error.message, cause: error.stack ?? '' }
  const cause = error.cause instanceof Error ? error.cause.message : undefined
  const { code, message, hint } = error
  return { code, message, hint, ...(cause !== undefined && !message.includes(cause) && { cause }) }
}

/** Says on stderr what went wrong: `error CODE: message`, why, and what to do. */
export function printError(
  error: unknown,
  cli: Cli,
  { json, command }: { readonly json: boolean; readonly command?: string },
): void {
  const report = reportOf(error, command)
  if (json) {
    cli.stderr.write(`${JSON.stringify({ error: report })}\n`)
    return
  }
  cli.stderr.write(`error ${report.code}: ${report.message}\n`)
  if (report.cause !== undefined) cli.stderr.write(`cause: ${report.cause}\n`)
  if (report.hint !== undefined) cli.stderr.write(`hint: ${report.hint}\n`)
}
