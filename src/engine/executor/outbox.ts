// The effects of one task on their way to the server.
//
// Few effects whose keys are in the lane's slot (or on a standalone server) go along with the commit. Once there are
// more, all go to an outbox: a hash in the lane whose fields are chunks, each of one slot and small enough to be applied
// in about 2 ms. `freeze` makes the outbox of one attempt the one that counts; whoever drains it then applies it chunk by
// chunk. A record whose commands touch several slots is cut into runs of one slot; run r of all records makes round r.
import { pack } from 'msgpackr/pack'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { numberOf } from '../../redis/replies.ts'
import { EffectChunk } from '../effect-chunk.ts'
import { packEffects, sizeOf, type EffectCatalogue } from '../effects.ts'
import { outboxKey } from '../keys.ts'
import type { Command } from '../runner.ts'

const inlineCommands = 256
const inlineBytes = 64 * 1024
/** Chunks that are not full yet are sent all the same when together they hold this much. */
const bufferedBytes = 8 * 1024 * 1024
const inFlight = 16

/** Counters of the run that filled an outbox; whoever applies it commits these. */
export interface TaskCounts {
  readonly in: number
  readonly out: number
  readonly bytes: number
  readonly errors: number
  /**
   * What else the commit adds up: `.name` is a whole number for the stage's counters, any other name one of user code.
   */
  readonly sums: readonly (readonly [name: string, by: number])[]
}

/** The last field of an outbox: it is complete. */
export interface Manifest {
  /** How many chunks a round has for a slot: [round, slot, chunks]. */
  readonly chunks: readonly (readonly [number, number, number])[]
  readonly counts: TaskCounts
}

interface OpenChunk {
  readonly round: number
  readonly effects: EffectChunk
  sent: number
}

export interface OutboxPlace {
  readonly namespace: string
  readonly execution: string
  /** Key of the execution's hash. */
  readonly x: string
  readonly tasks: string
  readonly entry: string
  /** `<stage>.<task>` */
  readonly name: string
  readonly token: string
  /** Of what the task leaves until it is committed, in milliseconds. */
  readonly ttlMs: number
  /** Of markers in other slots: they must outlive any stalled applier. */
  readonly markerTtlMs: number
  /** Slot of the execution's lane; 0 on a standalone server. */
  readonly laneSlot: number
}

export class Outbox {
  readonly #deployment: Deployment
  readonly #catalogue: EffectCatalogue
  readonly #place: OutboxPlace
  /** Effects that fit into the commit; undefined once there is an outbox. */
  #inline: Argument[] | undefined = []
  #inlineRecords: { record: number; commands: readonly Command[] }[] = []
  #commands = 0
  #bytes = 0
  readonly #chunks = new Map<string, OpenChunk>()
  #buffered = 0
  readonly #sending = new Set<Promise<void>>()
  #refused = false
  #broken: Error | undefined

  constructor(deployment: Deployment, catalogue: EffectCatalogue, place: OutboxPlace) {
    this.#deployment = deployment
    this.#catalogue = catalogue
    this.#place = place
  }

  /** Effects for the commit call; undefined where they are in the outbox. */
  get inline(): readonly Argument[] | undefined {
    return this.#inline
  }

  /** Throws EXECUTION_EFFECT_REFUSED before anything of the record is taken. */
  add(record: number, commands: readonly Command[]): void | Promise<void> {
    if (commands.every((command) => this.#catalogue.knows(command))) return this.#add(record, commands)
    return this.#learn(commands).then(() => this.#add(record, commands))
  }

  async #learn(commands: readonly Command[]): Promise<void> {
    for (const command of commands) await this.#catalogue.learn(command)
  }

  #add(record: number, commands: readonly Command[]): void | Promise<void> {
    const slots = commands.map((command) => this.#catalogue.slotOf(command))
    if (this.#inline) {
      this.#commands += commands.length
      for (const command of commands) this.#bytes += sizeOf(command)
      this.#inlineRecords.push({ record, commands })
      const fits = this.#commands <= inlineCommands && this.#bytes <= inlineBytes
      if (fits && slots.every((slot) => slot === this.#place.laneSlot)) {
        packEffects(this.#inline, record, commands)
        return
      }
      this.#inline = undefined
      const before = this.#inlineRecords
      this.#inlineRecords = []
      for (const each of before) {
        this.#spread(
          each.record,
          each.commands,
          each.commands.map((command) => this.#catalogue.slotOf(command)),
        )
      }
    } else {
      this.#spread(record, commands, slots)
    }
    if (this.#buffered > bufferedBytes) for (const chunk of this.#chunks.values()) this.#send(chunk)
    if (this.#sending.size > inFlight) return Promise.race(this.#sending)
  }

  /** Cuts a record's commands into runs of one slot and puts each into its chunk. */
  #spread(record: number, commands: readonly Command[], slots: readonly number[]): void {
    let round = 0
    for (let from = 0; from < commands.length; round++) {
      const slot = slots[from] as number
      let to = from + 1
      while (to < commands.length && slots[to] === slot) to++
      this.#put(round, slot, record, commands.slice(from, to))
      from = to
    }
  }

  #put(round: number, slot: number, record: number, run: readonly Command[]): void {
    const id = `${round}.${slot}`
    let chunk = this.#chunks.get(id)
    if (!chunk) {
      chunk = { round, effects: new EffectChunk(slot), sent: 0 }
      this.#chunks.set(id, chunk)
    }
    this.#buffered += chunk.effects.add(record, run)
    if (chunk.effects.isFull) this.#send(chunk)
  }

  #send(chunk: OpenChunk): void {
    const { effects, round } = chunk
    if (effects.arguments.length === 0) return
    const field = `${round}.${effects.slot}.${chunk.sent}`
    chunk.sent += 1
    this.#buffered -= effects.bytes
    const value = pack(effects.take().map(asBytes))
    const sent = this.#store(field, value).catch((error: Error) => {
      this.#broken ??= error
    })
    this.#sending.add(sent)
    void sent.finally(() => this.#sending.delete(sent))
  }

  async #store(field: string, value: Uint8Array): Promise<void> {
    const { x, tasks, entry, name, token, ttlMs } = this.#place
    const keys = [x, tasks, outboxKey(x, name, token)]
    const stored = await this.#deployment.call('box', keys, [entry, name, token, ttlMs, field, value])
    // Nobody will read it: what to make of the task is found out when it is frozen.
    if (numberOf(stored) === 0) this.#refused = true
  }

  /** Slots, other than the lane's, that this attempt has effects in. */
  get far(): readonly number[] {
    const slots = new Set([...this.#chunks.values()].map(({ effects }) => effects.slot))
    return [...slots].filter((slot) => slot !== this.#place.laneSlot)
  }

  /** Fields of the complete outbox: its chunks and the manifest. */
  get fields(): number {
    return [...this.#chunks.values()].reduce((sum, { sent }) => sum + sent, 1)
  }

  /** True where the entry was settled by others while effects were still collected. */
  get refused(): boolean {
    return this.#refused
  }

  /** Sends what is left and the manifest. Only for an outbox (`inline` is undefined). */
  async seal(counts: TaskCounts): Promise<void> {
    for (const chunk of this.#chunks.values()) this.#send(chunk)
    await Promise.all(this.#sending)
    if (this.#broken !== undefined) throw this.#broken
    const chunks = [...this.#chunks.values()].map(({ round, effects: { slot }, sent }) => [round, slot, sent] as const)
    const manifest: Manifest = { chunks, counts }
    await this.#store('manifest', pack(manifest))
  }
}

function asBytes(argument: Argument): Uint8Array {
  return typeof argument === 'object' ? argument : Buffer.from(String(argument))
}
