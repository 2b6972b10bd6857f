// What commits have summed up for each stage (see commit.lua), as its user sees it.
import type { ExecutionProfile, ExecutionState, StageProfile } from './execution.ts'

export function profileOf(id: string, fields: ReadonlyMap<string, string>): ExecutionProfile {
  const number = (name: string): number => Number(fields.get(name) ?? 0)
  const ended = fields.has('ended') ? number('ended') : Date.now()
  return {
    id,
    state: fields.get('state') as ExecutionState,
    elapsedMs: Math.max(0, ended - number('created')),
    stages: Array.from({ length: number('stages') }, (_, k) => stageOf(k, fields, number)),
  }
}

function stageOf(k: number, fields: ReadonlyMap<string, string>, number: (name: string) => number): StageProfile {
  const of = (name: string): number => number(`k${k}.${name}`)
  const ms = (phase: string): number => of(`us.${phase}`) / 1000
  const shards: Record<string, { tasks: number; in: number; out: number }> = {}
  const prefix = `k${k}.shard.`
  for (const [field, value] of fields) {
    if (!field.startsWith(prefix)) continue
    const at = field.lastIndexOf('.')
    const shard = (shards[field.slice(prefix.length, at)] ??= { tasks: 0, in: 0, out: 0 })
    shard[field.slice(at + 1) as 'tasks' | 'in' | 'out'] = Number(value)
  }
  return {
    tasks: number(`c${k}`),
    done: of('done'),
    attempts: of('attempts'),
    in: of('in'),
    out: of('out'),
    skipped: of('skipped'),
    bytesIn: of('bytes'),
    bytesOut: of('sent'),
    ms: { reader: ms('reader'), user: ms('user'), shuffle: ms('shuffle'), sink: ms('sink'), waiting: ms('waiting') },
    shards,
  }
}
