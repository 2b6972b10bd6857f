// What `ls`, `inspect` and `abort` stand on: executions of every group of a namespace, seen from outside.
import { EngineClient } from '../engine/client.ts'
import { GroupEvents } from '../engine/events.ts'
import type { ExecutionHandle, ExecutionStatus } from '../engine/execution.ts'
import { laneKeys, laneOfExecution } from '../engine/keys.ts'
import { openBlocks } from '../engine/open-blocks.ts'
import { lanesOf, remoteGroup } from '../engine/worker.ts'
import { ExecutionError } from '../errors.ts'
import { connectDeployment } from '../redis/connect.ts'
import type { Deployment } from '../redis/deployment.ts'
import { itemsOf, textOf } from '../redis/replies.ts'
import { configOf, print, type Cli, type CommonFlags } from './cli.ts'

export interface Seen {
  readonly group: string
  readonly handle: ExecutionHandle
}

/** A look at the executions of a namespace: takes no work, changes nothing by itself. */
export class Outlook {
  readonly deployment: Deployment
  readonly namespace: string
  readonly #events: GroupEvents
  readonly #engineOf: (group: string) => EngineClient

  constructor(
    deployment: Deployment,
    namespace: string,
    engineOf: (group: string, events: GroupEvents) => EngineClient,
  ) {
    this.deployment = deployment
    this.namespace = namespace
    this.#events = new GroupEvents(deployment)
    const engines = new Map<string, EngineClient>()
    this.#engineOf = (group) => {
      const engine = engines.get(group) ?? engineOf(group, this.#events)
      engines.set(group, engine)
      return engine
    }
  }

  /** Groups that have live workers, and, unless only those are asked for, the one that `gearmill worker` serves by default. */
  async groups({ live: only = false } = {}): Promise<string[]> {
    const { groups } = laneKeys(this.namespace, 'gm0', remoteGroup)
    const live = itemsOf(await this.deployment.command(groups, ['ZRANGE', groups, 0, 999])).map(textOf)
    return only ? live : [...new Set([remoteGroup, ...live])]
  }

  async all(): Promise<{ readonly group: string; readonly status: ExecutionStatus }[]> {
    const found: { group: string; status: ExecutionStatus }[] = []
    for (const group of await this.groups()) {
      const engine = this.#engineOf(group)
      for (const id of await engine.list()) {
        // One that expires while the list is read is no error.
        const status = await (await engine.find(id))?.status().catch(() => undefined)
        if (status) found.push({ group, status })
      }
    }
    return found.sort((a, b) => b.status.created - a.status.created)
  }

  /** Throws EXECUTION_LOST. */
  async get(id: string): Promise<Seen> {
    const x = this.keyOf(id)
    const group = textOf(await this.deployment.command(x, ['HGET', x, 'group']))
    const handle = group === '' ? undefined : await this.#engineOf(group).find(id)
    if (handle) return { group, handle }
    const hint = 'Ended executions are kept for `jobs.keepMs`; `gearmill ls` shows those that there are.'
    throw new ExecutionError('EXECUTION_LOST', `the server does not know execution ${id}`, { execution: id }, { hint })
  }

  keyOf(id: string): string {
    return laneKeys(this.namespace, laneOfExecution(id), remoteGroup).executions + id
  }

  close(): Promise<void> {
    return this.#events.close()
  }
}

/** Runs one command with a look at the executions. */
export async function lookAround(
  cli: Cli,
  flags: CommonFlags,
  look: (outlook: Outlook) => Promise<void>,
): Promise<void> {
  const { url, namespace, jobs, blocks, secret } = configOf(cli, flags).config
  const deployment = await connectDeployment(url, { signal: cli.signal })
  const store = openBlocks(
    blocks.dir === undefined ? { kind: 'redis', ttlMs: 0 } : { kind: 'files', dir: blocks.dir },
    deployment,
    namespace,
  )
  const outlook = new Outlook(
    deployment,
    namespace,
    (group, events) =>
      new EngineClient({
        ...{ deployment, namespace, group, lanes: lanesOf(deployment, namespace, group), blocks: store, events },
        ...{ known: new Map(), local: undefined, jobs, secret },
      }),
  )
  try {
    await look(outlook)
  } finally {
    await outlook.close()
    await store.close()
    await deployment.close()
  }
}

/** How many tasks of all stages are done: `3/8`. */
export function tasksOf({ stages }: Pick<ExecutionStatus, 'stages'>): string {
  const sum = (field: 'tasks' | 'done'): number => stages.reduce((total, stage) => total + stage[field], 0)
  return `${sum('done')}/${sum('tasks')}`
}

/** `250 ms`, `12.3 s`, `4 min`. */
export function duration(ms: number): string {
  if (ms < 1000) return `${Math.round(ms)} ms`
  return ms < 120_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.round(ms / 60_000)} min`
}

/** Rows under a head, in columns. */
export function printTable(cli: Cli, head: readonly string[], rows: readonly (readonly (string | number)[])[]): void {
  const table = [head, ...rows.map((row) => row.map(String))]
  const widths = head.map((_, i) => Math.max(...table.map((row) => row[i]?.length ?? 0)))
  for (const row of table) {
    const cells = row.map((cell, i) => cell.padEnd(widths[i] ?? 0))
    print(cli, cells.join('  ').trimEnd())
  }
}
