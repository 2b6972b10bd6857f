// Applies the outboxes of a home: effects that a commit froze because they are many or of other slots. They are cut into
// chunks of one slot, each applied once: the chunk's slot counts them (the server function `apply`). A record whose
// commands touch several slots is cut into runs of one slot; run r of all records makes round r, so that a record stops at
// its first failure wherever that lies.
import { decodeLetter, encodeLetter, type EffectCatalogue, type Letter } from '../../engine/effects.ts'
import { EffectChunk } from '../../engine/effect-chunk.ts'
import type { Command } from '../../engine/runner.ts'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { outboxMarker, type HomeKeys } from '../keys.ts'
import { unpackPlain } from './event-batch.ts'

/**
 * Several appliers may read one outbox; when one has settled it, a marker in another slot is all that keeps the others
 * from applying it again. So calls to other slots come too late after `applyMs`, and markers outlive that by far more than
 * clocks differ, but not for ever: there is one for each outbox.
 */
const applyMs = 60_000
const markerMs = 10 * 60_000
const mostRewinds = 100

interface Chunk {
  readonly effects: EffectChunk
  readonly records: Set<number>
}

export class Outboxes {
  readonly #deployment: Deployment
  readonly #catalogue: EffectCatalogue
  readonly #namespace: string
  readonly #name: string

  constructor(deployment: Deployment, catalogue: EffectCatalogue, namespace: string, name: string) {
    this.#deployment = deployment
    this.#catalogue = catalogue
    this.#namespace = namespace
    this.#name = name
  }

  /** Applies all outboxes of a home, the oldest first. */
  async drain(home: HomeKeys): Promise<void> {
    const { outboxes } = home
    for (;;) {
      const names = itemsOf(await this.#deployment.command(outboxes, ['HKEYS', outboxes])).map(textOf)
      if (names.length === 0) return
      for (const name of names.toSorted()) {
        for (let tries = 0; tries < mostRewinds && (await this.#apply(home, name)) === 'again'; tries++);
      }
    }
  }

  async #apply(home: HomeKeys, name: string): Promise<'done' | 'again'> {
    const deadline = Date.now() + applyMs
    const bytes = await this.#deployment.command(home.outboxes, ['HGET', home.outboxes, name], { binary: true })
    if (!Buffer.isBuffer(bytes)) return 'done'
    const [done, ...list] = unpackPlain(bytes) as [number, ...unknown[]]
    const fields: string[] = []
    const commands: Command[][] = []
    for (let i = 0; i < list.length; i += 2) {
      const field = String(list[i])
      // Those of a dead letter are bytes.
      const [verb, ...args] = list[i + 1] as [string | Buffer, ...Argument[]]
      const command: Command = [verb.toString(), ...args]
      if (!this.#catalogue.knows(command)) await this.#catalogue.learn(command)
      if (fields.at(-1) !== field) {
        fields.push(field)
        commands.push([])
      }
      commands.at(-1)?.push(command)
    }
    const letters = new Map<number, Letter>()
    const applied = new Map<number, number>()
    for (const round of this.#rounds(commands)) {
      const bySlot = new Map<number, Chunk[]>()
      for (const chunk of round) {
        const { slot } = chunk.effects
        bySlot.set(slot, [...(bySlot.get(slot) ?? []), chunk])
      }
      const outcomes = await Promise.all(
        [...bySlot].map(async ([slot, chunks]) => {
          for (const chunk of chunks) {
            const next = applied.get(slot) ?? 0
            applied.set(slot, next + 1)
            const reply = itemsOf(await this.#call(home, name, chunk, next, letters, deadline))
            const count = numberOf(reply[0])
            if (count < 0) return count
            for (let i = 1; i + 1 < reply.length; i += 2) note(letters, numberOf(reply[i]), reply[i + 1] as Buffer)
          }
          return 0
        }),
      )
      if (outcomes.includes(-1)) return 'done'
      if (outcomes.includes(-2)) return 'again'
    }
    const failed = [...letters].flatMap(([record, letter]) => [fields[record] as string, encodeLetter(letter)])
    const keys = [home.outboxes, home.letters, home.counters]
    await this.#deployment.call('trigger_settle', keys, [name, done, ...failed])
    // Beside the outbox a late call finds that it is settled, without a marker.
    const near = `${home.outboxes}:${name}`
    await this.#deployment.command(near, ['UNLINK', near])
    return 'done'
  }

  *#rounds(records: readonly (readonly Command[])[]): Generator<Chunk[]> {
    const left = records.map((commands) => ({ commands, at: 0 }))
    while (left.some(({ commands, at }) => at < commands.length)) {
      const open = new Map<number, Chunk>()
      const chunks: Chunk[] = []
      for (const [record, state] of left.entries()) {
        const { commands } = state
        const first = commands[state.at]
        if (first === undefined) continue
        const slot = this.#catalogue.slotOf(first)
        while (state.at < commands.length && this.#catalogue.slotOf(commands[state.at] as Command) === slot) {
          let chunk = open.get(slot)
          if (chunk === undefined || chunk.effects.isFull) {
            chunk = { effects: new EffectChunk(slot), records: new Set() }
            open.set(slot, chunk)
            chunks.push(chunk)
          }
          chunk.effects.add(record, [commands[state.at++] as Command])
          chunk.records.add(record)
        }
      }
      yield chunks
    }
  }

  #marker(home: HomeKeys, slot: number, name: string): string {
    return this.#isNear(home, slot) ? `${home.outboxes}:${name}` : outboxMarker(this.#namespace, slot, this.#name, name)
  }

  #isNear(home: HomeKeys, slot: number): boolean {
    return !this.#deployment.topology.cluster || this.#deployment.slotOf(home.outboxes) === slot
  }

  #call(
    home: HomeKeys,
    name: string,
    chunk: Chunk,
    number: number,
    letters: ReadonlyMap<number, Letter>,
    deadline: number,
  ) {
    const { slot } = chunk.effects
    const marker = this.#marker(home, slot, name)
    const skips = [...chunk.records].flatMap((record) => {
      const letter = letters.get(record)
      return letter === undefined ? [] : [record, letter.reason]
    })
    const cluster = this.#deployment.topology.cluster ? 1 : 0
    const near = this.#isNear(home, slot)
    const keys = near ? [marker, home.outboxes] : [marker]
    const args = [
      number,
      near ? name : deadline,
      markerMs,
      cluster,
      skips.length / 2,
      ...skips,
      ...chunk.effects.arguments,
    ]
    return this.#deployment.call('apply', keys, args, { binary: true })
  }
}

function note(letters: Map<number, Letter>, record: number, bytes: Buffer): void {
  const letter = decodeLetter(bytes)
  const before = letters.get(record)
  letters.set(record, before ? { reason: before.reason, commands: [...before.commands, ...letter.commands] } : letter)
}
