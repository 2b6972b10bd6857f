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
    .version(version(), '-V, --version', 'print the version')
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
      .helpOption('-h, --help', 'print this')
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
    await program.parseAsync(args, { from: 'user' })
    return cli.exitCode
  } catch (error) {
    const isLost = error instanceof CommanderError && error.code === 'commander.help' && error.exitCode !== 0
    if (isLost) return helpInPlace(program, args, cli)
    const code = exitCodeOf(error, cli)
    const silent = isInterruption(error, cli) || (error instanceof CommanderError && code === 0)
    const command = args.find((arg) => program.commands.some((each) => each.name() === arg))
    if (!silent) printError(error, cli, { json: wantsJson(program, args), ...(command !== undefined && { command }) })
    return code
  }
}

/** Where no command is named, or help is asked of one that there is not. */
function helpInPlace(program: Command, args: readonly string[], cli: Cli): number {
  const asked = args.indexOf('help')
  if (asked < 0) cli.stderr.write(program.helpInformation())
  else {
    const message = `unknown command '${args[asked + 1] ?? ''}'`
    printError(new CommanderError(2, 'commander.unknownCommand', message), cli, { json: wantsJson(program, args) })
  }
  return 2
}

/** Also where the command line could not be understood. What follows the script of `run`, or `--`, is not ours. */
function wantsJson(program: Command, args: readonly string[]): boolean {
  const run = program.commands.find((command) => command.name() === 'run')
  if ([program, ...program.commands].some((command) => command.opts<CommonFlags>().json === true)) return true
  if (run !== undefined && run.args.length > 0) return false
  const end = args.indexOf('--')
  return args.slice(0, end < 0 ? undefined : end).includes('--json')
}
