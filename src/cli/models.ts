// `gearmill models ls`: the ONNX models of a server, with what they take and give.
import { Argument, Command } from 'commander'
import { describeValue } from '../models/feed.ts'
import { ModelStore } from '../models/model-store.ts'
import type { ModelValue } from '../models/onnx-file.ts'
import { connectDeployment } from '../redis/connect.ts'
import { configOf, flagsOf, print, say, withCommonFlags, type Cli, type CommonFlags } from './cli.ts'
import { printTable } from './executions.ts'

export function modelsCommand(cli: Cli): Command {
  const command = new Command('models')
    .summary('list models')
    .description(
      'Every stored model: its size, when it was stored, its inputs and outputs, and the SHA-256 of its file.',
    )
    .addArgument(new Argument('[action]', 'what to do').choices(['ls']).default('ls'))
  return withCommonFlags(command).action(async () => {
    const flags = flagsOf<CommonFlags>(command)
    const { config } = configOf(cli, flags)
    const deployment = await connectDeployment(config.url, { signal: cli.signal })
    try {
      const all = await new ModelStore(deployment, config.namespace).list()
      if (flags.json === true) return print(cli, JSON.stringify(all))
      if (all.length === 0) return say(cli, 'no models')
      const rows = all.map(({ name, bytes, inputs, outputs, storedAt, hash }) => [
        ...[name, bytes, inputs.map(shown).join(', '), outputs.map(shown).join(', ')],
        ...[new Date(storedAt).toISOString(), hash.slice(0, 12)],
      ])
      printTable(cli, ['name', 'bytes', 'inputs', 'outputs', 'stored', 'sha-256'], rows)
    } finally {
      await deployment.close()
    }
  })
}

const shown = (value: ModelValue): string => `${value.name}: ${describeValue(value)}`
