// Removes a trigger: its seats end, then goes all that is kept of it. Whoever removes says so again and again, so that a
// registration of the same name waits for it, and takes the name over from a client that died.
import { setTimeout as delay } from 'node:timers/promises'
import { TriggerError } from '../errors.ts'
import { itemsOf, numberOf, streamEntryOf, textMapOf, textOf } from '../redis/replies.ts'
import { homesOf } from './homes.ts'
import { answerMs, groupOf, isSeatOf, replyKey, streamsIn, type TriggerClient } from './keys.ts'

/** How long a name is not given away after its remover was last heard of, in milliseconds. */
const holdMs = 10_000
const lookMs = 20
const answersTogether = 100

export function unknownTrigger(name: string): TriggerError {
  return new TriggerError('TRIGGER_UNKNOWN', `there is no trigger ${JSON.stringify(name)}`)
}

/**
 * Resolves with true when no worker holds a seat of a trigger: a dead one's are free when its leases are over. False where the
 * trigger moved to a state in which that may never be.
 */
export async function untilReleased(
  name: string,
  { deployment, keys }: TriggerClient,
  states: readonly string[],
  each?: () => Promise<unknown>,
): Promise<boolean> {
  const key = keys.trigger(name)
  for (;;) {
    const [state, seats, time] = await Promise.all([
      deployment.command(key, ['HGET', key, 'state']),
      deployment.command(keys.seats, ['HGETALL', keys.seats]),
      deployment.command(keys.seats, ['TIME']),
    ])
    if (!states.includes(textOf(state))) return false
    const now = numberOf(itemsOf(time)[0]) * 1000
    const held = [...textMapOf(seats)].some(([id, holder]) => isSeatOf(id, name) && Number(holder.split(' ')[2]) > now)
    if (!held) return true
    await each?.()
    await delay(lookMs)
  }
}

/** Throws TRIGGER_UNKNOWN. */
export async function removeTrigger(name: string, client: TriggerClient): Promise<void> {
  const { deployment, keys, namespace } = client
  const key = keys.trigger(name)
  const hold = async (begins = ''): Promise<boolean> =>
    numberOf(await deployment.call('trigger_remove', [key, keys.events], [name, holdMs, begins])) === 1
  const fields = textMapOf(await deployment.command(key, ['HGETALL', key]))
  if (!(await hold('1'))) throw unknownTrigger(name)
  if (!(await untilReleased(name, client, ['removed'], hold))) return
  if (fields.get('kind') === 'command') await answerAll(name, client)
  const group = groupOf(namespace, name)
  for (const home of await homesOf(name, client)) {
    // Somebody has the name by now.
    if (!(await hold())) return
    const streams = streamsIn(itemsOf(await deployment.command(home.fences, ['HKEYS', home.fences])).map(textOf))
    await Promise.all(streams.map((stream) => deployment.call('trigger_leave', [stream], [group])))
    const all = [home.fences, home.counters, home.retries, home.due, home.letters, home.outboxes]
    await deployment.command(home.fences, ['UNLINK', ...all])
  }
  if (!(await hold())) return
  const realm = fields.get('realmkey') ?? ''
  if (realm !== '') await deployment.call('realm_leave', [realm], [`t.${name}`])
  const seats = itemsOf(await deployment.command(keys.seats, ['HKEYS', keys.seats])).map(textOf)
  const mine = seats.filter((id) => isSeatOf(id, name))
  if (mine.length > 0) await deployment.command(keys.seats, ['HDEL', keys.seats, ...mine])
  await deployment.command(keys.registry, ['HDEL', keys.registry, name])
  const own = [key, keys.homes(name), keys.internal(name), keys.marks(name)]
  const stored = [fields.get('program') ?? '', fields.get('code') ?? ''].filter((each) => each !== '')
  await deployment.command(key, ['UNLINK', ...own, ...stored])
  await deployment.call(
    'trigger_forget',
    [keys.registry, keys.seats, keys.live, keys.events, keys.tapPositions],
    [keys.prefix],
  )
}

/** Who waits for an answer is told that none will come. */
async function answerAll(name: string, { deployment, keys, namespace }: TriggerClient): Promise<void> {
  const calls = keys.internal(name)
  const text = JSON.stringify({ error: { code: 'TRIGGER_UNKNOWN', message: `the command ${name} was removed` } })
  for (let from = '-'; ;) {
    const range = ['XRANGE', calls, from, '+', 'COUNT', answersTogether]
    const found = itemsOf(await deployment.command(calls, range)).map(streamEntryOf)
    await Promise.all(
      found.map(async ({ id }) => {
        const reply = replyKey(namespace, `${name}-${id}`)
        await deployment.command(reply, ['RPUSH', reply, text])
        await deployment.command(reply, ['PEXPIRE', reply, answerMs])
      }),
    )
    const last = found.at(-1)
    if (last === undefined || found.length < answersTogether) return
    from = `(${last.id}`
  }
}
