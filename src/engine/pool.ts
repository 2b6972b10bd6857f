// Which executors may run a task: those of its pool. Most tasks are of one pool; a realm that is isolated has a pool of its own,
// and so have scripts, which wait for other executions and would hold the executors that these need.
import { realmOf, type RealmRef } from './realm.ts'

export interface Pool {
  readonly key: string
  /** Memory limit of its executors, in MiB, where it is lower than the worker's. */
  readonly memoryMb?: number
  /** The realm that the task is of. */
  readonly realm?: RealmRef
  /** Its tasks wait for others: they do not count among those that the worker has room for. */
  readonly waits?: true
}

/** At least as many scripts run at a time. */
const leastScripts = 2

/** From the fields of a task's entry. */
export function poolOf(fields: ReadonlyMap<string, string>): Pool {
  const realm = realmOf(fields.get('r'))
  const of = realm === undefined ? {} : { realm }
  if (fields.get('k') === 'script') return { key: 'script', waits: true, ...of }
  if (realm?.memoryMb === undefined) return { key: '', ...of }
  return { key: `realm ${realm.name}`, memoryMb: realm.memoryMb, ...of }
}

/** How many executors a pool may have. */
export function sizeOf(pool: Pool, executors: number): number {
  return pool.waits ? Math.max(leastScripts, executors) : executors
}
