// What a trigger says of itself: counters that its commits keep, and what is waiting.
import type { TriggerKind, TriggerState, TriggerStatus } from '../pipeline/trigger.ts'
import type { Deployment, Reply } from '../redis/deployment.ts'
import { itemsOf, numberOf, textMapOf, textOf } from '../redis/replies.ts'
import { timeOf } from './host/event-batch.ts'
import { groupOf, isSeatOf, streamsIn, type HomeKeys, type TriggerClient } from './keys.ts'
import { toldError } from './told.ts'

/** Nothing comes after it. */
const latestId = `${2n ** 64n - 1n}-${2n ** 64n - 1n}`

interface Waiting {
  readonly entries: number
  readonly ms: number
}

export async function statusOf(
  name: string,
  fields: ReadonlyMap<string, string>,
  client: TriggerClient,
  homes: readonly HomeKeys[],
): Promise<TriggerStatus> {
  const { deployment, keys, namespace } = client
  const [seats, time, ...perHome] = await Promise.all([
    deployment.command(keys.seats, ['HGETALL', keys.seats]),
    deployment.command(keys.seats, ['TIME']),
    ...homes.map((home) => readHome(deployment, home, groupOf(namespace, name))),
  ])
  const now = numberOf(itemsOf(time)[0]) * 1000 + Math.floor(numberOf(itemsOf(time)[1]) / 1000)
  const sum = (pick: (home: HomeFacts) => number): number => perHome.reduce((all, home) => all + pick(home), 0)
  const counter = (which: string): number => sum((home) => Number(home.counters.get(which) ?? 0))
  const oldest = Math.min(...perHome.flatMap(({ oldestIds }) => oldestIds.map(timeOf)))
  const took = [...fields].filter(([field]) => field.startsWith('took.')).map(([, text]) => text.split(' ').map(Number))
  const error = latestError([fields, ...perHome.map(({ counters }) => counters)])
  const reason = fields.get('reason') ?? ''
  const lag: Waiting = { entries: sum((home) => home.waiting), ms: oldest === Infinity ? 0 : Math.max(0, now - oldest) }
  return {
    name,
    kind: (fields.get('kind') ?? 'stream') as TriggerKind,
    version: Number(fields.get('version') ?? 0),
    state: (fields.get('state') ?? 'running') as TriggerState,
    reason: reason === '' ? undefined : errorOf(reason),
    events: counter('events'),
    successes: counter('successes'),
    failures: counter('failures'),
    retries: counter('retries'),
    retrying: sum((home) => home.retrying),
    deadLetters: sum((home) => home.letters),
    lag,
    latency: {
      p50: Math.max(0, ...took.map(([p50]) => p50 ?? 0)),
      p99: Math.max(0, ...took.map(([, p99]) => p99 ?? 0)),
    },
    lastError: error === undefined ? undefined : errorOf(error),
    owner: [...textMapOf(seats)].flatMap(([id, holder]) => {
      const [worker = '', , until = '0'] = holder.split(' ')
      return isSeatOf(id, name) && Number(until) >= now ? [worker] : []
    }),
  }
}

/** Of those that were noted, each with its time: in commits, and of places that cannot run. */
function latestError(noted: readonly ReadonlyMap<string, string>[]): string | undefined {
  const timeOfError = (each: ReadonlyMap<string, string>): number => Number(each.get('erred') ?? 0)
  const [latest] = noted.filter((each) => each.has('error')).sort((a, b) => timeOfError(b) - timeOfError(a))
  return latest?.get('error')
}

function errorOf(text: string): TriggerStatus['lastError'] {
  return toldError(JSON.parse(text) as { code?: string; message?: string; stack?: string })
}

interface HomeFacts {
  readonly counters: ReadonlyMap<string, string>
  readonly retrying: number
  readonly letters: number
  readonly waiting: number
  /** Of each stream the oldest entry that is not processed. */
  readonly oldestIds: readonly string[]
}

async function readHome(deployment: Deployment, home: HomeKeys, group: string): Promise<HomeFacts> {
  const [counters, retrying, letters, fences] = await Promise.all([
    deployment.command(home.counters, ['HGETALL', home.counters]),
    deployment.command(home.retries, ['HLEN', home.retries]),
    deployment.command(home.letters, ['HLEN', home.letters]),
    deployment.command(home.fences, ['HKEYS', home.fences]),
  ])
  const streams = streamsIn(itemsOf(fences).map(textOf))
  const waiting = await Promise.all(streams.map((stream) => readStream(deployment, stream, group)))
  return {
    counters: textMapOf(counters),
    retrying: numberOf(retrying),
    letters: numberOf(letters),
    waiting: waiting.reduce((all, { entries }) => all + entries, 0),
    oldestIds: waiting.flatMap(({ oldest }) => (oldest === undefined ? [] : [oldest])),
  }
}

async function readStream(
  deployment: Deployment,
  stream: string,
  group: string,
): Promise<{ readonly entries: number; readonly oldest?: string | undefined }> {
  // A stream that is gone has nothing waiting.
  const groups = itemsOf(await deployment.command(stream, ['XINFO', 'GROUPS', stream]).catch((): Reply => []))
  const facts = groups.map(textMapOf).find((each) => each.get('name') === group)
  if (facts === undefined) return { entries: 0 }
  const pending = Number(facts.get('pending') ?? 0)
  const last = facts.get('last-delivered-id') ?? '0-0'
  const [summary, next] = await Promise.all([
    pending > 0 ? deployment.command(stream, ['XPENDING', stream, group]) : null,
    last === latestId ? null : deployment.command(stream, ['XRANGE', stream, `(${last}`, '+', 'COUNT', 1]),
  ])
  const undelivered = itemsOf(itemsOf(next)[0])[0]
  const lag = facts.get('lag') ?? ''
  // Where entries were deleted the server does not know how many are left, or counts those that were trimmed unread.
  const left = undelivered === undefined ? 0 : lag === '' ? 1 : Number(lag)
  const oldest = summary === null ? undefined : textOf(itemsOf(summary)[1])
  return { entries: pending + left, oldest: oldest ?? (undelivered === undefined ? undefined : textOf(undelivered)) }
}
