// Applies a frozen outbox: chunk by chunk, from where an earlier applier stopped (the marker in the chunk's slot knows), and
// round by round, so that a record stops at its first failure wherever it lies.
//
// The lane's marker is kept alive and removed with its task. Nobody keeps those of other slots: they live for long, a day,
// which no stalled applier may outlast, or for an hour with local workers, whose appliers are dead before others take
// over. Those of local work are removed after the commit; a client that is killed in the middle leaves them in a cluster
// for that hour: 72 bytes a slot and task, without which a task that is taken over would apply its effects again.
import { unpack } from 'msgpackr/pack'
import { ExecutionError } from '../../errors.ts'
import type { Argument, Deployment, Reply } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { decodeLetter, encodeLetter, type Letter } from '../effects.ts'
import { farMarker, noted, outboxKey } from '../keys.ts'
import type { Manifest, OutboxPlace, TaskCounts } from './outbox.ts'

/** Slots that are worked on at the same time. */
const inFlight = 16
/** An outbox that is being applied is kept alive every so many chunks. */
const keepEvery = 64
/** More often than this no server goes back in time while one outbox is applied. */
const mostRewinds = 100

export interface DrainedOutbox {
  readonly counts: TaskCounts
  readonly written: number
  /** Records with a dead letter. */
  readonly failed: number
  /** Slots, other than the lane's, that hold a marker. */
  readonly far: readonly number[]
}

/** Why a drain stopped: the task was settled by others, or the server forgot chunks that had been applied. */
type Stop = 'over' | 'rewound'

export class Drain {
  readonly #deployment: Deployment
  readonly #place: OutboxPlace
  readonly #token: string
  readonly #onChunk: () => void
  readonly #box: string
  readonly #letters = new Map<string, Letter>()
  #written = 0
  #chunks = 0
  #stop: Stop | undefined

  constructor(deployment: Deployment, place: OutboxPlace, token: string, onChunk: () => void) {
    this.#deployment = deployment
    this.#place = place
    this.#token = token
    this.#onChunk = onChunk
    this.#box = outboxKey(place.x, place.name, token)
  }

  /**
   * Applies the outbox that counts (of attempt `token`), whoever filled it. Undefined where the task is over, or the server
   * went back to before the outbox was frozen. Throws EXECUTION_LOST where the outbox is gone and its effects with it.
   */
  async run(): Promise<DrainedOutbox | undefined> {
    for (let rewinds = 0; rewinds < mostRewinds; rewinds++) {
      const bytes = await this.#field('manifest')
      if (bytes === undefined) return this.#missing()
      const { chunks, counts } = unpack(bytes) as Manifest
      this.#letters.clear()
      this.#written = 0
      this.#stop = undefined
      await this.#rounds(chunks)
      const stop = this.#stop as Stop | undefined
      if (stop === 'rewound') continue
      if (stop === 'over') return this.#missing()
      await this.#file()
      const far = [...new Set(chunks.map(([, slot]) => slot))].filter((slot) => slot !== this.#place.laneSlot)
      return { counts, written: this.#written, failed: this.#letters.size, far }
    }
    throw this.#lost('the server went back in time again and again')
  }

  async #rounds(chunks: Manifest['chunks']): Promise<void> {
    const applied = new Map<number, number>()
    for (const round of [...new Set(chunks.map(([of]) => of))].sort((a, b) => a - b)) {
      const slots = chunks.filter(([of]) => of === round)
      for (let i = 0; i < slots.length && this.#stop === undefined; i += inFlight) {
        await Promise.all(
          slots.slice(i, i + inFlight).map(async ([, slot, count]) => {
            const first = applied.get(slot) ?? 0
            applied.set(slot, first + count)
            await this.#slot(round, slot, first, count)
          }),
        )
      }
    }
  }

  /** Applies the chunks of a round for one slot; they are number `first` and on of that slot. */
  async #slot(round: number, slot: number, first: number, count: number): Promise<void> {
    for (let chunk = 0; chunk < count && this.#stop === undefined; chunk++) {
      const bytes = await this.#field(`${round}.${slot}.${chunk}`)
      if (bytes === undefined) {
        this.#stop ??= 'over'
        return
      }
      const reply = itemsOf(await this.#apply(slot, first + chunk, unpack(bytes) as Buffer[]))
      const applied = numberOf(reply[0])
      if (applied < 0) {
        this.#stop ??= applied === -2 ? 'rewound' : 'over'
        return
      }
      this.#written += applied
      for (let i = 1; i + 1 < reply.length; i += 2) this.#note(textOf(reply[i]), reply[i + 1] as Buffer)
      if (++this.#chunks % keepEvery === 0) {
        await this.#deployment.command(this.#box, ['PEXPIRE', this.#box, this.#place.ttlMs])
      }
      this.#onChunk()
    }
  }

  async #field(name: string): Promise<Buffer | undefined> {
    const bytes = await this.#deployment.command(this.#box, ['HGET', this.#box, name], { binary: true })
    return Buffer.isBuffer(bytes) ? bytes : undefined
  }

  #apply(slot: number, chunk: number, effects: readonly Buffer[]): Promise<Reply> {
    const { namespace, execution, x, name, markerTtlMs, ttlMs, laneSlot } = this.#place
    const near = slot === laneSlot
    const marker = near ? `${x}:m:${name}` : farMarker(namespace, slot, execution, name)
    const skips: Argument[] = []
    if (this.#letters.size > 0) {
      for (const record of recordsOf(effects)) {
        const letter = this.#letters.get(record)
        if (letter) skips.push(record, letter.reason)
      }
    }
    const ttl = near ? ttlMs : markerTtlMs
    const cluster = this.#deployment.topology.cluster ? 1 : 0
    const args = [chunk, `o.${name}`, ttl, cluster, skips.length / 2, ...skips, ...effects]
    return this.#deployment.call('apply', near ? [marker, x] : [marker], args, { binary: true })
  }

  #note(record: string, bytes: Buffer): void {
    const letter = decodeLetter(bytes)
    const before = this.#letters.get(record)
    const whole = before ? { reason: before.reason, commands: [...before.commands, ...letter.commands] } : letter
    this.#letters.set(record, whole)
  }

  /** Writes the dead letters; naming them after their records makes doing it twice harmless. */
  async #file(): Promise<void> {
    const { x, name, ttlMs } = this.#place
    const all = [...this.#letters]
    for (let i = 0; i < all.length; i += 100) {
      const fields = all.slice(i, i + 100).flatMap(([record, letter]) => [`${name}.${record}`, encodeLetter(letter)])
      await this.#deployment.call('letters', [`${x}:letters`], [ttlMs, ...fields])
    }
  }

  /** A part of the outbox is not there: because the task is over, or by a loss that cannot be made good. */
  async #missing(): Promise<undefined> {
    const { x, name } = this.#place
    const fields = itemsOf(await this.#deployment.command(x, ['HMGET', x, 'state', `o.${name}`])).map(textOf)
    if (fields[0] !== 'running' || fields[1] !== this.#token) return undefined
    throw this.#lost('the effects that its task has yet to apply are gone from the server')
  }

  #lost(why: string): ExecutionError {
    const { execution } = this.#place
    return new ExecutionError('EXECUTION_LOST', `execution ${execution}: ${why}`, { execution })
  }
}

/** Removes the markers of a committed task of local work. */
export async function removeMarkers(
  deployment: Deployment,
  { namespace, execution, x, name }: OutboxPlace,
  far: readonly number[],
): Promise<void> {
  await Promise.all(
    far.map((slot) => {
      const marker = farMarker(namespace, slot, execution, name)
      return deployment.command(marker, ['UNLINK', marker])
    }),
  )
  await deployment.command(x, ['HDEL', noted.key(x), noted.markers(name)])
}

/** The record numbers of packed effects. */
function recordsOf(effects: readonly Buffer[]): string[] {
  const records: string[] = []
  for (let at = 0; at < effects.length;) {
    records.push((effects[at] as Buffer).toString('latin1'))
    let commands = Number((effects[at + 1] as Buffer).toString('latin1'))
    at += 2
    for (; commands > 0; commands--) at += Number((effects[at] as Buffer).toString('latin1')) + 1
  }
  return records
}
