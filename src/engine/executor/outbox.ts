// The effects of one task on their way to the server.
//
// Few effects whose keys are in the lane's slot (or on a standalone server) go along with the commit. Once there are
// more, all go to an outbox: a hash in the lane whose fields are chunks, each of one slot and small enough to be applied
// in about 2 ms. `freeze` makes the outbox of one attempt the one that counts; `drain` applies it chunk by chunk, from
// where an earlier applier stopped: the marker in the chunk's slot knows. A record whose commands touch several slots is
// cut into runs of one slot; run r of all records makes round r, and a round begins when the one before is applied, so
// that a record stops at its first failure wherever it lies.
import { pack, unpack } from 'msgpackr'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { slotTag } from '../../redis/slots.ts'
import { decodeLetter, EffectCatalogue, encodeLetter, packEffects, sizeOf, type Letter } from '../effects.ts'
import type { Command } from '../runner.ts'

const inlineCommands = 256
const inlineBytes = 64 * 1024
const chunkCommands = 400
const chunkBytes = 64 * 1024
const chunkArguments = 2000
/** Chunks that are not full yet are sent all the same when together they hold this much. */
const bufferedBytes = 8 * 1024 * 1024
const inFlight = 16
/** An outbox that is being applied is kept alive every so many chunks. */
const keepEvery = 64

/** Counters of the run that filled an outbox; whoever applies it commits these. */
export interface TaskCounts {
  readonly in: number
  readonly out: number
  readonly bytes: number
  readonly errors: number
}

interface Manifest {
  /** How many chunks a round has for a slot: [round, slot, chunks]. */
  readonly chunks: readonly (readonly [number, number, number])[]
  readonly counts: TaskCounts
}

export interface DrainedOutbox {
  readonly counts: TaskCounts
  readonly written: number
  /** Records with a dead letter. */
  readonly failed: number
}

interface OpenChunk {
  readonly round: number
  readonly slot: number
  arguments: Argument[]
  commands: number
  bytes: number
  sent: number
}

export interface OutboxPlace {
  readonly namespace: string
  readonly execution: string
  /** Key of the execution's hash. */
  readonly x: string
  readonly lane: string
  /** `<stage>.<task>` */
  readonly name: string
  readonly token: string
  /** Of what the task leaves until it is committed, in milliseconds. */
  readonly ttlMs: number
  /** Of markers in other slots: they must outlive any stalled applier. */
  readonly markerTtlMs: number
}

export class Outbox {
  readonly #deployment: Deployment
  readonly #catalogue: EffectCatalogue
  readonly #place: OutboxPlace
  readonly #laneSlot: number
  /** Effects that fit into the commit; undefined once there is an outbox. */
  #inline: Argument[] | undefined = []
  #inlineRecords: { record: number; commands: readonly Command[] }[] = []
  #commands = 0
  #bytes = 0
  readonly #chunks = new Map<string, OpenChunk>()
  #buffered = 0
  readonly #sending = new Set<Promise<void>>()
  #broken: Error | undefined

  constructor(deployment: Deployment, catalogue: EffectCatalogue, place: OutboxPlace) {
    this.#deployment = deployment
    this.#catalogue = catalogue
    this.#place = place
    this.#laneSlot = deployment.topology.cluster ? deployment.slotOf(place.x) : 0
  }

  /** Effects for the commit call; undefined where they are in the outbox. */
  get inline(): readonly Argument[] | undefined {
    return this.#inline
  }

  static keyOf(x: string, name: string, token: string): string {
    return `${x}:o:${name}.${token}`
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
      if (fits && slots.every((slot) => slot === this.#laneSlot)) {
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
      chunk = { round, slot, arguments: [], commands: 0, bytes: 0, sent: 0 }
      this.#chunks.set(id, chunk)
    }
    let bytes = 0
    for (const command of run) bytes += sizeOf(command)
    packEffects(chunk.arguments, record, run)
    chunk.commands += run.length
    chunk.bytes += bytes
    this.#buffered += bytes
    const full =
      chunk.commands >= chunkCommands || chunk.bytes >= chunkBytes || chunk.arguments.length >= chunkArguments
    if (full) this.#send(chunk)
  }

  #send(chunk: OpenChunk): void {
    if (chunk.arguments.length === 0) return
    const key = Outbox.keyOf(this.#place.x, this.#place.name, this.#place.token)
    const field = `${chunk.round}.${chunk.slot}.${chunk.sent}`
    const value = pack(chunk.arguments.map(asBytes))
    chunk.sent += 1
    this.#buffered -= chunk.bytes
    chunk.arguments = []
    chunk.commands = 0
    chunk.bytes = 0
    const sent = this.#deployment.call('stage', [key], [this.#place.ttlMs, field, value]).then(
      () => undefined,
      (error: Error) => {
        this.#broken ??= error
      },
    )
    this.#sending.add(sent)
    void sent.finally(() => this.#sending.delete(sent))
  }

  /** Sends what is left and the manifest. Only for an outbox (`inline` is undefined). */
  async seal(counts: TaskCounts): Promise<void> {
    for (const chunk of this.#chunks.values()) this.#send(chunk)
    await Promise.all(this.#sending)
    if (this.#broken !== undefined) throw this.#broken
    const chunks = [...this.#chunks.values()].map(({ round, slot, sent }) => [round, slot, sent] as const)
    const manifest: Manifest = { chunks, counts }
    const key = Outbox.keyOf(this.#place.x, this.#place.name, this.#place.token)
    await this.#deployment.call('stage', [key], [this.#place.ttlMs, 'manifest', pack(manifest)])
  }

  /**
   * Applies the outbox that counts (of attempt `token`), whoever filled it; `undefined` where the task was committed
   * meanwhile.
   */
  async drain(token: string, onChunk: () => void): Promise<DrainedOutbox | undefined> {
    const { x, name } = this.#place
    const box = Outbox.keyOf(x, name, token)
    const manifestBytes = await this.#deployment.command(box, ['HGET', box, 'manifest'], { binary: true })
    if (!Buffer.isBuffer(manifestBytes)) return undefined
    const { chunks: manifest, counts } = unpack(manifestBytes) as Manifest
    const applied = new Map<number, number>()
    const letters = new Map<string, Letter>()
    let written = 0
    let drained = 0
    let gone = false

    const applySlot = async (round: number, slot: number, chunks: number): Promise<void> => {
      const first = applied.get(slot) ?? 0
      for (let chunk = 0; chunk < chunks && !gone; chunk++) {
        const bytes = await this.#deployment.command(box, ['HGET', box, `${round}.${slot}.${chunk}`], { binary: true })
        if (!Buffer.isBuffer(bytes)) {
          gone = true
          return
        }
        const reply = itemsOf(await this.#applyChunk(slot, first + chunk, unpack(bytes) as Buffer[], letters))
        if (numberOf(reply[0]) < 0) {
          gone = true
          return
        }
        written += numberOf(reply[0])
        for (let i = 1; i + 1 < reply.length; i += 2) note(letters, textOf(reply[i]), reply[i + 1] as Buffer)
        if (++drained % keepEvery === 0) await this.#keep(box)
        onChunk()
      }
      applied.set(slot, first + chunks)
    }

    const rounds = [...new Set(manifest.map(([round]) => round))].sort((a, b) => a - b)
    for (const round of rounds) {
      const slots = manifest.filter(([of]) => of === round)
      for (let i = 0; i < slots.length && !gone; i += inFlight) {
        await Promise.all(slots.slice(i, i + inFlight).map(([of, slot, chunks]) => applySlot(of, slot, chunks)))
      }
    }
    if (gone) return undefined
    await this.#file(letters)
    return { counts, written, failed: letters.size }
  }

  #applyChunk(slot: number, chunk: number, effects: readonly Buffer[], letters: ReadonlyMap<string, Letter>) {
    const { namespace, execution, x, name, markerTtlMs, ttlMs } = this.#place
    const { cluster } = this.#deployment.topology
    const near = slot === this.#laneSlot
    const marker = near ? `${x}:m:${name}` : `${namespace}:{${slotTag(slot)}}:m:${execution}.${name}`
    const skips: Argument[] = []
    if (letters.size > 0) {
      for (const record of recordsOf(effects)) {
        const letter = letters.get(record)
        if (letter) skips.push(record, letter.reason)
      }
    }
    return this.#deployment.call(
      'apply',
      near ? [marker, x] : [marker],
      [chunk, `o.${name}`, near ? ttlMs : markerTtlMs, cluster ? 1 : 0, skips.length / 2, ...skips, ...effects],
      { binary: true },
    )
  }

  async #keep(box: string): Promise<void> {
    await this.#deployment.command(box, ['PEXPIRE', box, this.#place.ttlMs])
  }

  /** Writes the dead letters; naming them after their records makes doing it twice harmless. */
  async #file(letters: ReadonlyMap<string, Letter>): Promise<void> {
    const key = `${this.#place.x}:letters`
    const all = [...letters]
    for (let i = 0; i < all.length; i += 100) {
      const fields = all
        .slice(i, i + 100)
        .flatMap(([record, letter]) => [`${this.#place.name}.${record}`, encodeLetter(letter)])
      await this.#deployment.call('stage', [key], [this.#place.ttlMs, ...fields])
    }
  }
}

function note(letters: Map<string, Letter>, record: string, bytes: Buffer): void {
  const letter = decodeLetter(bytes)
  const before = letters.get(record)
  letters.set(record, before ? { reason: before.reason, commands: [...before.commands, ...letter.commands] } : letter)
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

function asBytes(argument: Argument): Uint8Array {
  return typeof argument === 'object' ? argument : Buffer.from(String(argument))
}
