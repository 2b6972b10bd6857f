// `gearmill triggers`: what the triggers of a server do; pause, resume, remove, replay.
import { Argument, Command } from 'commander'
import { connect } from '../mill.ts'
import type { DeadLetter, Trigger, TriggerStatus } from '../pipeline/trigger.ts'
import { configOf, counted, flagsOf, print, say, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { printTable } from './executions.ts'

const actions = ['ls', 'pause', 'resume', 'remove', 'replay', 'letters'] as const
type Action = (typeof actions)[number]

export function triggersCommand(cli: Cli): Command {
  const command = new Command('triggers')
    .summary('list triggers; pause, resume, remove, replay')
    .description(
      '`ls`, or nothing: every trigger with its state and counters. `pause NAME` and `resume NAME` stop one and let it go on, `remove NAME` ends it; `letters NAME` shows its dead letters, `replay NAME` tries them again.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(actions).default('ls'))
    .argument('[name]', 'the trigger')
  return withCommonFlags(command).action(async (action: Action, name: string | undefined) => {
    const flags = flagsOf<CommonFlags>(command)
    if (action !== 'ls' && name === undefined) command.error("error: missing required argument 'name'")
    if (action === 'ls' && name !== undefined) command.error(`error: ls takes no argument '${name}'`)
    const { config } = configOf(cli, flags)
    const { url, namespace } = config
    const mill = await connect({ url, namespace, workers: 'remote', signal: cli.signal })
    try {
      if (action === 'ls' || name === undefined) list(cli, await mill.triggers.list(), flags.json === true)
      else await act(cli, mill.triggers.get(name), action, flags.json === true)
    } finally {
      await mill.close()
    }
  })
}

async function act(cli: Cli, trigger: Trigger, action: Exclude<Action, 'ls'>, json: boolean): Promise<void> {
  const { name } = trigger
  const done = (data: object, line: string): void => {
    if (json) print(cli, JSON.stringify({ name, ...data }))
    else say(cli, line)
  }
  switch (action) {
    case 'pause':
      await trigger.pause()
      return done({ paused: true }, `${name} is paused`)
    case 'resume':
      await trigger.resume()
      return done({ paused: false }, `${name} goes on`)
    case 'remove':
      await trigger.remove()
      return done({ removed: true }, `${name} is removed`)
    case 'replay': {
      const replayed = await trigger.replay()
      return done({ replayed }, `${counted(replayed, 'dead letter')} of ${name} to be tried again`)
    }
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
  if (all.length === 0) return say(cli, 'no dead letters')
  for (const { key, id, error, attempts, at } of all) {
    print(
      cli,
      `${new Date(at).toISOString()}  ${key} ${id}  ${counted(attempts, 'attempt')}  ${error.code} ${error.message.split('\n')[0] ?? ''}`,
    )
  }
}
