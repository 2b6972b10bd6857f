// The command line as a whole: the commands, what they have in common, and how a call of it ends.
import { Command, CommanderError } from 'commander'
import { abortCommand } from './abort.ts'
import { withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { demoCommand } from './demo/demo.ts'
import { doctorCommand } from './doctor/doctor.ts'
import { execCommand } from './exec.ts'
import { exitCodeOf, isInterruption, printError } from './exit.ts'
import { inspectCommand } from './inspect.ts'
import { listCommand } from './ls.ts'
import { kernelsCommand } from './kernels.ts'
import { modelsCommand } from './models.ts'
import { runCommand } from './run.ts'
import { splitCommand } from './split.ts'
import { triggersCommand } from './triggers.ts'
import { version } from './version.ts'
import { workerCommand } from './worker.ts'

export function buildProgram(cli: Cli): Command {
  const program = withCommonFlags(new Command('gearmill'))
    .description('Compute beside a Redis or Valkey server.')
    .version(version(), '--version', 'print the version')
    .enablePositionalOptions()
    .showSuggestionAfterError()
  const commands = [
    demoCommand(cli),
    runCommand(cli),
    workerCommand(cli),
    execCommand(cli),
    listCommand(cli),
    inspectCommand(cli),
    abortCommand(cli),
    triggersCommand(cli),
    kernelsCommand(cli),
    modelsCommand(cli),
    doctorCommand(cli),
    splitCommand(cli),
  ]
  for (const command of [program, ...commands]) {
    command
      .helpOption('--help', 'print this')
      .exitOverride()
      .configureOutput({
        writeOut: (text) => cli.stdout.write(text),
        // Errors are printed in one place, as all others are.
        writeErr: () => {},
      })
    if (command !== program) program.addCommand(command)
  }
  return program
}

/** Runs a command line (without the program's own name) and returns the exit code. */
export async function runCli(args: readonly string[], cli: Cli): Promise<number> {
  const program = buildProgram(cli)
  try {
    if (args.length === 0) {
      cli.stderr.write(program.helpInformation())
      return 2
    }
    await program.parseAsync(args, { from: 'user' })
    return cli.exitCode
  } catch (error) {
    const code = exitCodeOf(error, cli)
    const silent = isInterruption(error, cli) || (error instanceof CommanderError && code === 0)
    if (!silent) printError(error, cli, wantsJson(program, args))
    return code
  }
}

/** Also where the command line could not be understood. What follows the script of `run` is not ours. */
function wantsJson(program: Command, args: readonly string[]): boolean {
  if (program.opts<CommonFlags>().json === true) return true
  const end = args[0] === 'run' ? args.findIndex((arg, index) => index > 0 && !arg.startsWith('-')) : args.indexOf('--')
  return args.slice(0, end < 0 ? undefined : end).includes('--json')
}
