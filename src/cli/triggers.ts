// `gearmill triggers`: what the triggers of a server do; pause, resume, remove, replay.
import { Argument, Command } from 'commander'
import { connect } from '../mill.ts'
import type { DeadLetter, Trigger, TriggerStatus } from '../pipeline/trigger.ts'
import { configOf, flagsOf, print, say, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { printTable } from './executions.ts'

const actions = ['pause', 'resume', 'remove', 'replay', 'letters'] as const
type Action = (typeof actions)[number]

export function triggersCommand(cli: Cli): Command {
  const command = new Command('triggers')
    .summary('list triggers; pause, resume, remove, replay')
    .description(
      'Without arguments: every trigger with its state and counters. `replay` tries its dead letters again, `letters` shows them.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(actions))
    .argument('[name]', 'the trigger')
  return withCommonFlags(command).action(async (action: Action | undefined, name: string | undefined) => {
    const flags = flagsOf<CommonFlags>(command)
    if (action !== undefined && name === undefined) command.error("error: missing required argument 'name'")
    const { config } = configOf(cli, flags)
    const { url, namespace } = config
    const mill = await connect({ url, namespace, workers: 'remote', signal: cli.signal })
    try {
      if (action === undefined || name === undefined) list(cli, await mill.triggers.list(), flags.json === true)
      else await act(cli, mill.triggers.get(name), action, flags.json === true)
    } finally {
      await mill.close()
    }
  })
}

async function act(cli: Cli, trigger: Trigger, action: Action, json: boolean): Promise<void> {
  switch (action) {
    case 'pause':
      await trigger.pause()
      return say(cli, `${trigger.name} is paused`)
    case 'resume':
      await trigger.resume()
      return say(cli, `${trigger.name} goes on`)
    case 'remove':
      await trigger.remove()
      return say(cli, `${trigger.name} is removed`)
    case 'replay':
      return say(cli, `${await trigger.replay()} dead letters of ${trigger.name} are tried again`)
    case 'letters':
      return letters(cli, await trigger.deadLetters(), json)
  }
}

function list(cli: Cli, all: readonly TriggerStatus[], json: boolean): void {
  if (json) return print(cli, JSON.stringify(all))
  if (all.length === 0) return say(cli, 'no triggers')
  const head = ['name', 'kind', 'state', 'events', 'ok', 'failed', 'retries', 'lag', 'p50 ms', 'p99 ms', 'last error']
  const rows = all.map((one) => [
    ...[one.name, one.kind, one.state, one.events, one.successes, one.failures, one.retries, one.lag.entries],
    ...[one.latency.p50, one.latency.p99, (one.reason ?? one.lastError)?.message.split('\n')[0] ?? ''],
  ])
  printTable(cli, head, rows)
}

function letters(cli: Cli, all: readonly DeadLetter[], json: boolean): void {
  if (json) return print(cli, JSON.stringify(all))
  for (const { key, id, error, attempts, at } of all) {
    print(
      cli,
      `${new Date(at).toISOString()}  ${key} ${id}  ${attempts} attempts  ${error.code} ${error.message.split('\n')[0] ?? ''}`,
    )
  }
}
