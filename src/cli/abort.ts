// `gearmill abort ID`: ends an execution from outside.
import { Command } from 'commander'
import { flagsOf, print, say, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { lookAround } from './executions.ts'

export function abortCommand(cli: Cli): Command {
  const command = new Command('abort')
    .summary('end an execution')
    .description(
      'Ends an execution within a second. What its tasks have committed stays. One that has ended already is left as it is.',
    )
    .argument('<id>', 'the execution, as `gearmill ls` shows it')
  return withCommonFlags(command).action(async (id: string) => {
    const flags = flagsOf<CommonFlags>(command)
    await lookAround(cli, flags, async (outlook) => {
      const { handle } = await outlook.get(id)
      await handle.abort()
      const { state } = await handle.status()
      if (flags.json === true) print(cli, JSON.stringify({ id, state }))
      else say(cli, state === 'aborted' ? `${id} is aborted` : `${id} had ended before: ${state}`)
    })
  })
}
