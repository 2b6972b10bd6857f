// `gearmill ls`: the executions of a namespace, those of scripts' own executors too.
import { Command, Option } from 'commander'
import { flagsOf, print, say, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { duration, lookAround, printTable, tasksOf } from './executions.ts'

const states = ['waiting', 'running', 'done', 'failed', 'aborted'] as const

interface ListFlags extends CommonFlags {
  readonly state?: (typeof states)[number]
}

export function listCommand(cli: Cli): Command {
  const command = new Command('ls')
    .summary('list executions')
    .description(
      'The executions that the server knows, the latest first: those of `gearmill worker` and those of scripts that run now.',
    )
    .addOption(new Option('--state <state>', 'only those in this state').choices(states))
  return withCommonFlags(command).action(async () => {
    const flags = flagsOf<ListFlags>(command)
    await lookAround(cli, flags, async (outlook) => {
      const all = (await outlook.all()).filter(
        ({ status }) => flags.state === undefined || status.state === flags.state,
      )
      if (flags.json === true) return print(cli, JSON.stringify(all.map(({ group, status }) => ({ ...status, group }))))
      if (all.length === 0) return say(cli, 'no executions')
      const rows = all.map(({ group, status }) => [
        ...[status.id, status.state, status.stages.length, tasksOf(status), status.errors, status.retries],
        ...[new Date(status.created).toISOString(), duration((status.ended ?? Date.now()) - status.created), group],
      ])
      const head = ['id', 'state', 'stages', 'tasks', 'errors', 'retries', 'created', 'time', 'group']
      printTable(cli, head, rows)
    })
  })
}
