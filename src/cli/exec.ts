// `gearmill exec 'SCRIPT'`: a script runs on a worker; what it gives is printed.
import { readFile } from 'node:fs/promises'
import { resolve } from 'node:path'
import { text } from 'node:stream/consumers'
import { Command } from 'commander'
import { ExecutionError, PlanError } from '../errors.ts'
import { connect } from '../mill.ts'
import { configOf, flagsOf, print, say, wholeNumber, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { lookAround } from './executions.ts'

interface ExecFlags extends CommonFlags {
  readonly file?: string
  readonly unblocking?: boolean
  readonly timeout: number
}

export function execCommand(cli: Cli): Command {
  const command = new Command('exec')
    .summary('run a script on a worker')
    .description(
      "Runs a script on a worker that allows it (`gearmill worker --allow-scripts`), or on any with the same GEARMILL_SECRET. The script sees the readers by their names, such as keys('user:*').count(), and `mill`. Its last value is printed: a list as a line of JSON for each item. Who interrupts it leaves the script running: `gearmill ls` shows it, `gearmill abort` ends it.",
    )
    .argument('[script]', 'the text; - reads it from stdin')
    .option('--file <path>', 'read the script from a file')
    .option('--unblocking', 'print the id of the execution and do not wait')
    .option('--timeout <ms>', 'time limit of the script, 0: none', wholeNumber(0), 300_000)
  return withCommonFlags(command).action(async (given: string | undefined) => {
    const flags = flagsOf<ExecFlags>(command)
    if ((given === undefined) === (flags.file === undefined)) command.error('error: expected a script, or --file')
    const script = await scriptOf(cli, given, flags.file)
    await lookAround(cli, flags, async (outlook) => {
      if ((await outlook.groups({ live: true })).length > 0) return
      throw new ExecutionError('EXECUTION_NO_WORKER', 'no worker is alive', { execution: '' })
    })
    const { url, namespace, secret } = configOf(cli, flags).config
    const mill = await connect({ url, namespace, secret, workers: 'remote', signal: cli.signal })
    try {
      if (flags.unblocking === true) {
        const { id } = await mill.exec(script, { unblocking: true, timeoutMs: flags.timeout })
        return print(cli, flags.json === true ? JSON.stringify({ id }) : id)
      }
      const value = await mill.exec(script, { timeoutMs: flags.timeout })
      if (flags.json === true || !Array.isArray(value)) return print(cli, JSON.stringify(value))
      for (const item of value) print(cli, JSON.stringify(item))
      if (value.length === 0) say(cli, 'nothing')
    } finally {
      await mill.close()
    }
  })
}

async function scriptOf(cli: Cli, given: string | undefined, file: string | undefined): Promise<string> {
  if (file === undefined) return given === '-' ? text(cli.stdin) : (given ?? '')
  const path = resolve(cli.cwd, file)
  try {
    return await readFile(path, 'utf8')
  } catch (cause) {
    throw new PlanError('PLAN_FILE', `${path} cannot be read`, { cause, hint: 'Check the path and the rights.' })
  }
}
