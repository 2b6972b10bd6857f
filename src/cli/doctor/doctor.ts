// `gearmill doctor`: what is found on this machine and on the server, and what to do about what is not as it should be.
import { Command } from 'commander'
import { remoteGroup } from '../../engine/worker.ts'
import { GearmillError } from '../../errors.ts'
import { connectDeployment } from '../../redis/connect.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { configOf, flagsOf, print, withCommonFlags, type Cli, type CommonFlags } from '../cli.ts'
import { fail, ok, type Finding } from './finding.ts'
import { examineMachine } from './machine.ts'
import { examinePermissions } from './permissions.ts'
import { examineShard } from './server.ts'
import { examineWorkers } from './workers.ts'

interface DoctorFlags extends CommonFlags {
  readonly group: string
}

export function doctorCommand(cli: Cli): Command {
  const command = new Command('doctor')
    .summary('look for what is missing or set wrongly')
    .description(
      'Looks at this machine, the server and its workers. Each line is ok, warn or fail, with what to do about it; the exit code is 1 if there is a fail.',
    )
    .option('--group <name>', 'the group whose workers are counted', remoteGroup)
  return withCommonFlags(command).action(async () => {
    const flags = flagsOf<DoctorFlags>(command)
    const findings: Finding[] = []
    for await (const finding of examine(cli, flags)) {
      findings.push(finding)
      if (flags.json !== true) for (const line of linesOf(finding)) print(cli, line)
    }
    const healthy = findings.every((finding) => finding.state !== 'fail')
    if (flags.json === true) print(cli, JSON.stringify({ ok: healthy, findings }))
    cli.exitCode = healthy ? 0 : 1
  })
}

async function* examine(cli: Cli, flags: DoctorFlags): AsyncGenerator<Finding> {
  const loaded = configOf(cli, flags)
  yield* await examineMachine(loaded, cli.env)
  const { url, namespace } = loaded.config
  let deployment: Deployment
  try {
    deployment = await connectDeployment(url, { retryMs: 5000, name: 'gearmill-doctor', signal: cli.signal })
  } catch (error) {
    if (!(error instanceof GearmillError)) throw error
    yield fail('server', `${error.code}: ${error.message}`, error.hint)
    return
  }
  try {
    const { server, shards, cluster } = deployment.topology
    const kind = cluster ? `cluster with ${shards.length} shards` : 'standalone'
    yield ok('server', `${server.name} ${server.version.join('.')}, ${kind}, functions loaded`)
    for (const shard of shards) yield* await examineShard(deployment, shard)
    yield* await examinePermissions(deployment, namespace)
    yield await examineWorkers(deployment, namespace, flags.group)
  } catch (error) {
    if (!(error instanceof GearmillError)) throw error
    yield fail('server', `${error.code}: ${error.message}`, error.hint)
  } finally {
    await deployment.close()
  }
}

function linesOf({ check, state, found, advice, shard }: Finding): string[] {
  const where = shard === undefined ? '' : ` (${shard})`
  const line = `${state.padEnd(6)}${check.padEnd(24)}${found}${where}`
  return advice === undefined ? [line] : [line, `      ${advice}`]
}
