// Who serves which slots, as the servers themselves say: what a reader of a keyspace checks before and after it reads.
import type { Deployment, Shard } from './deployment.ts'
import { textOf } from './replies.ts'

type SlotRanges = readonly (readonly [number, number])[]

/** What one server says of itself. */
export interface Standing {
  /** Of the server process: another one after a restart. */
  readonly runId: string
  /** Of the slots, counts up whenever they change hands. '' without a cluster. */
  readonly epoch: string
  readonly slots: SlotRanges
  /** Slots that are on their way to another server, or from one. */
  readonly moving: readonly number[]
}

/** Asks a shard's server. */
export async function standingOf(deployment: Deployment, shard: Shard): Promise<Standing> {
  const { cluster } = deployment.topology
  const [about, nodes] = await Promise.all([
    deployment.onShard(shard.id, ['INFO', 'server']),
    cluster ? deployment.onShard(shard.id, ['CLUSTER', 'NODES']) : '',
  ])
  const runId = /^run_id:(\S+)/m.exec(textOf(about))?.[1] ?? ''
  if (!cluster) return { runId, epoch: '', slots: shard.slots, moving: [] }
  return { runId, ...readNodes(textOf(nodes)) }
}

/** The line of a `CLUSTER NODES` reply in which the node describes itself. */
export function readNodes(reply: string): Omit<Standing, 'runId'> {
  const own = reply.split('\n').find((line) => /^\S+ \S+ \S*\bmyself\b/.test(line)) ?? ''
  const [, , flags = '', , , , epoch = '', , ...places] = own.trim().split(' ')
  const slots: [number, number][] = []
  const moving: number[] = []
  if (!/\bmaster\b/.test(flags)) return { epoch, slots, moving }
  for (const place of places) {
    const move = /^\[(\d+)-[<>]-/.exec(place)
    if (move !== null) moving.push(Number(move[1]))
    else {
      const [first, last = first] = place.split('-')
      slots.push([Number(first), Number(last)])
    }
  }
  return { epoch, slots, moving }
}

/** Whether all of some slots are among others. */
export function covers(slots: SlotRanges, wanted: SlotRanges): boolean {
  return wanted.every(([first, last]) => {
    let next = first
    for (const [from, to] of slots.toSorted((a, b) => a[0] - b[0])) if (from <= next && next <= to) next = to + 1
    return next > last
  })
}

/** The slots that two lists share. */
export function shared(slots: SlotRanges, others: SlotRanges): [number, number][] {
  return slots.flatMap(([first, last]) =>
    others.flatMap(([from, to]): [number, number][] => {
      const start = Math.max(first, from)
      const end = Math.min(last, to)
      return start <= end ? [[start, end]] : []
    }),
  )
}
