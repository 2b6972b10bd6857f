// What every command is given: where data and talk go, what the environment says, and the flags that all commands have.
import type { Readable, Writable } from 'node:stream'
import { InvalidArgumentError, type Command } from 'commander'
import type { Logger } from '../engine/logger.ts'
import { loadConfig, type ConfigOptions, type LoadedConfig } from '../config.ts'

/** One call of the command line. Tests make their own. */
export interface Cli {
  readonly stdin: Readable
  /** Data only: what another program may read. */
  readonly stdout: Writable
  /** Everything said to people: progress, remarks, errors. */
  readonly stderr: Writable
  readonly env: NodeJS.ProcessEnv
  readonly cwd: string
  /** Aborted by the first SIGINT or SIGTERM; the reason is the signal's name. */
  readonly signal: AbortSignal
  /** What the process ends with, unless an error is thrown. */
  exitCode: number
}

/** The flags of every command. */
export interface CommonFlags {
  readonly url?: string
  readonly namespace?: string
  readonly json?: boolean
}

export function withCommonFlags(command: Command): Command {
  return command
    .option('--url <url>', 'server, such as redis://host:6379 (GEARMILL_URL, REDIS_URL)')
    .option('--namespace <name>', 'what every key of Gearmill begins with (GEARMILL_NAMESPACE)')
    .option('--json', 'data as JSON, errors as one JSON object')
}

/** The flags given to a command, those before its name included; what stands nearer counts. */
export function flagsOf<Flags extends CommonFlags>(command: Command): Flags {
  return { ...command.parent?.opts<CommonFlags>(), ...command.opts<Flags>() }
}

/** The configuration with the common flags on top, and what else a command has flags for. */
export function configOf(cli: Cli, flags: CommonFlags, more: ConfigOptions = {}): LoadedConfig {
  const { url, namespace } = flags
  return loadConfig({ url, namespace, ...more }, { env: cli.env, cwd: cli.cwd })
}

export function say(cli: Cli, line: string): void {
  cli.stderr.write(`${line}\n`)
}

export function print(cli: Cli, line: string): void {
  cli.stdout.write(`${line}\n`)
}

/** `1 executor`, `2 executors`. */
export function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

/** Reads the value of a flag that takes a whole number. */
export function wholeNumber(least: number, most = Number.MAX_SAFE_INTEGER): (value: string) => number {
  return (value) => {
    const number = Number(value)
    if (/^\d+$/.test(value) && number >= least && number <= most) return number
    const range = most === Number.MAX_SAFE_INTEGER ? `of at least ${least}` : `from ${least} to ${most}`
    throw new InvalidArgumentError(`Expected a whole number ${range}.`)
  }
}

const levels = ['debug', 'info', 'warn', 'error'] as const

/** Says what a mill or worker says, from a level up: a line each on stderr, with --json an object each. */
export function loggerTo(cli: Cli, json: boolean, from: (typeof levels)[number] = 'debug'): Logger {
  const write = (level: (typeof levels)[number]) => (message: string) => {
    if (levels.indexOf(level) < levels.indexOf(from)) return
    const time = new Date().toISOString()
    say(cli, json ? JSON.stringify({ time, level, message }) : `${time} ${level.padEnd(5)} ${message}`)
  }
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error') }
}
