// What the doctor looks at on each shard: memory policy, persistence, backlog, notifications, latency.
import { GearmillError } from '../../errors.ts'
import type { Deployment, Shard } from '../../redis/deployment.ts'
import { textMapOf, textOf } from '../../redis/replies.ts'
import { amount } from '../progress.ts'
import { fail, ok, warn, type Finding } from './finding.ts'

/** Outages and stalls of a key trigger's tap that the backlog should cover, at a few MB of writes a second. */
const wantedBacklog = 64 * 1024 * 1024
const pings = 20
const slowPingMs = 5

interface Facts {
  readonly cluster: boolean
  readonly info: ReadonlyMap<string, string>
  /** Undefined where the server does not let us read it. */
  readonly settings: ReadonlyMap<string, string> | undefined
}

export async function examineShard(deployment: Deployment, shard: Shard): Promise<Finding[]> {
  const info = fieldsOf(textOf(await deployment.onShard(shard.id, ['INFO'])))
  const facts: Facts = { cluster: deployment.topology.cluster, info, settings: await settingsOf(deployment, shard) }
  const findings = [
    await latency(deployment, shard),
    memory(facts),
    ...(facts.settings === undefined
      ? [unreadable]
      : [policy, persistence, backlog, notifications].map((look) => look(facts))),
  ]
  const several = deployment.topology.shards.length > 1
  return several ? findings.map((finding) => ({ ...finding, shard: `${shard.host}:${shard.port}` })) : findings
}

const unreadable = warn(
  'settings',
  'CONFIG GET is not allowed',
  'Look at the provider’s settings: maxmemory-policy noeviction, appendonly yes, repl-backlog-size 64mb.',
)

function fieldsOf(info: string): Map<string, string> {
  const lines = info.split(/\r?\n/).filter((line) => line.includes(':'))
  return new Map(lines.map((line) => [line.slice(0, line.indexOf(':')), line.slice(line.indexOf(':') + 1)]))
}

async function settingsOf(deployment: Deployment, shard: Shard): Promise<Map<string, string> | undefined> {
  const names = ['maxmemory', 'maxmemory-policy', 'appendonly', 'save', 'repl-backlog-size', 'notify-keyspace-events']
  try {
    const settings = textMapOf(await deployment.onShard(shard.id, ['CONFIG', 'GET', ...names]))
    return settings.size > 0 ? settings : undefined
  } catch (error) {
    // Refused by the ACL, or not there at all, as with some providers.
    if (error instanceof GearmillError && ['CONNECT_PERMISSION', 'CONNECT_REPLY'].includes(error.code)) return undefined
    throw error
  }
}

async function latency(deployment: Deployment, shard: Shard): Promise<Finding> {
  const times: number[] = []
  for (let i = 0; i < pings; i++) {
    const started = performance.now()
    await deployment.onShard(shard.id, ['PING'])
    times.push(performance.now() - started)
  }
  times.sort((a, b) => a - b)
  const median = times[pings / 2] ?? 0
  const found = `PING takes ${median.toFixed(2)} ms, at most ${(times.at(-1) ?? 0).toFixed(2)} ms`
  if (median <= slowPingMs) return ok('latency', found)
  return warn('latency', found, 'Every task needs a few round trips: run the workers nearer to the server.')
}

function memory({ info }: Facts): Finding {
  const used = Number(info.get('used_memory') ?? 0)
  const most = Number(info.get('maxmemory') ?? 0)
  if (most === 0) return ok('memory', `${amount(used, 'bytes')} used, no limit`)
  const found = `${amount(used, 'bytes')} of ${amount(most, 'bytes')} used`
  if (used <= most * 0.8) return ok('memory', found)
  return warn('memory', found, 'Work stops when the server is full: raise maxmemory, or remove data.')
}

function policy({ settings, info }: Facts): Finding {
  const value = settings?.get('maxmemory-policy') ?? ''
  const unlimited = Number(info.get('maxmemory') ?? 0) === 0
  if (value === 'noeviction' || unlimited) return ok('maxmemory-policy', value)
  const advice = 'CONFIG SET maxmemory-policy noeviction'
  return value.startsWith('volatile')
    ? warn(
        'maxmemory-policy',
        value,
        `Under pressure the server throws away results and blocks, which are made again at a cost: ${advice}`,
      )
    : fail('maxmemory-policy', value, `Under pressure the server throws away the state of executions: ${advice}`)
}

function persistence({ settings, cluster }: Facts): Finding {
  if (settings?.get('appendonly') === 'yes') return ok('persistence', 'append-only file')
  const snapshots = (settings?.get('save') ?? '') !== ''
  const advice = 'CONFIG SET appendonly yes'
  if (!snapshots) return warn('persistence', 'none', `A restart of the server loses executions and triggers: ${advice}`)
  if (!cluster) return ok('persistence', 'snapshots: a restart goes back to the last one, consistently')
  return warn(
    'persistence',
    'snapshots',
    `Those of a cluster's shards are of different moments, so a restart may lose or repeat work: ${advice}`,
  )
}

function backlog({ settings }: Facts): Finding {
  const size = Number(settings?.get('repl-backlog-size') ?? 0)
  if (size >= wantedBacklog) return ok('repl-backlog-size', amount(size, 'bytes'))
  const advice =
    'A key trigger that is away for longer than the backlog lasts has a gap: CONFIG SET repl-backlog-size 64mb'
  return warn('repl-backlog-size', amount(size, 'bytes'), advice)
}

function notifications({ settings }: Facts): Finding {
  const value = settings?.get('notify-keyspace-events') ?? ''
  return ok('notify-keyspace-events', value || "off (only key triggers with source: 'notifications' need it)")
}
