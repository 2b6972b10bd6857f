// Applies writes of a step that do not go along with its commit, because they are of other slots or many: the commit has frozen
// them, and each chunk is applied once, whoever tries: the slot of the chunk counts them (the server function `apply`).
import { decodeLetter, packEffects, sizeOf, type EffectCatalogue } from '../../engine/effects.ts'
import type { Command } from '../../engine/runner.ts'
import type { Argument, Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf } from '../../redis/replies.ts'
import { stepMarker, type ChainLane } from '../keys.ts'
import type { KernelCommand } from '../step.ts'
import { argumentsOf, type Fence, type StrandName } from '../wire.ts'

const nearCommands = 200
const nearBytes = 128 * 1024
const chunkCommands = 200
const chunkBytes = 64 * 1024
const chunkArguments = 2000
/** Who is this late is refused, so that markers need not be kept for ever: far longer than clocks differ. */
const applyMs = 60_000
const markerMs = 10 * 60_000
const mostRewinds = 100

/** How many writes are applied now; `reason`: why the server refused the next one. */
export interface Applied {
  readonly applied: number
  readonly reason?: string
}

interface Chunk {
  readonly slot: number
  readonly number: number
  readonly commands: Command[]
  /** Arguments of all commands. */
  parts: number
  bytes: number
}

export class StepOutbox {
  readonly #deployment: Deployment
  readonly #catalogue: EffectCatalogue
  readonly #namespace: string

  constructor(deployment: Deployment, catalogue: EffectCatalogue, namespace: string) {
    this.#deployment = deployment
    this.#catalogue = catalogue
    this.#namespace = namespace
  }

  /**
   * Whether the commit itself can apply them.
   * @throws {RecordError} EXECUTION_EFFECT_REFUSED where one of them cannot be a write of a step
   */
  async isNear(lane: ChainLane, commands: readonly KernelCommand[]): Promise<boolean> {
    const { cluster } = this.#deployment.topology
    const slot = cluster ? this.#deployment.slotOf(lane.base) : 0
    let bytes = 0
    let near = commands.length <= nearCommands
    for (const command of commands) {
      const shaped = argumentsOf(command)
      if (!this.#catalogue.knows(shaped)) await this.#catalogue.learn(shaped)
      if (this.#catalogue.slotOf(shaped) !== slot) near = false
      bytes += sizeOf(shaped)
    }
    return near && bytes <= nearBytes
  }

  /** A key of Gearmill's own that a command would write to. */
  forbidden(command: KernelCommand): string | undefined {
    const prefix = `${this.#namespace}:`
    const event = `${this.#namespace}:event:`
    for (const key of this.#catalogue.keysOf(argumentsOf(command))) {
      const text = typeof key === 'string' ? key : Buffer.from(key).toString('latin1')
      if (text.startsWith(prefix) && !text.startsWith(event)) return text
    }
    return undefined
  }

  async apply(strand: StrandName, fence: Fence, commands: readonly KernelCommand[]): Promise<Applied> {
    const name = `${strand.chain}.${strand.branch}.${fence.step}.${fence.attempt}.${commands.length}`
    for (const command of commands) {
      const shaped = argumentsOf(command)
      if (!this.#catalogue.knows(shaped)) await this.#catalogue.learn(shaped)
    }
    for (let rewinds = 0; rewinds < mostRewinds; rewinds++) {
      const deadline = Date.now() + applyMs
      let applied = 0
      let again = false
      for (const chunk of this.#chunks(commands)) {
        const marker = stepMarker(this.#namespace, chunk.slot, name)
        const cluster = this.#deployment.topology.cluster ? 1 : 0
        const args: Argument[] = [chunk.number, deadline, markerMs, cluster, 0]
        // As one record: it stops at the first write that is refused.
        packEffects(args, 0, chunk.commands)
        const reply = itemsOf(await this.#deployment.call('apply', [marker], args, { binary: true }))
        const count = numberOf(reply[0])
        // Too late, or a server went back in time: from the beginning, where what is applied is known to be.
        if (count < 0) {
          again = true
          break
        }
        applied += count
        const letter = reply[2]
        if (Buffer.isBuffer(letter)) return { applied, reason: decodeLetter(letter).reason }
      }
      if (!again) return { applied }
    }
    return { applied: 0, reason: 'the server went back in time again and again' }
  }

  /** In the order of the commands: a chunk is of one slot, and numbered within it. */
  *#chunks(commands: readonly KernelCommand[]): Generator<Chunk> {
    const numbers = new Map<number, number>()
    let chunk: Chunk | undefined
    for (const command of commands.map(argumentsOf)) {
      const slot = this.#catalogue.slotOf(command)
      const full =
        chunk !== undefined &&
        (chunk.slot !== slot ||
          chunk.commands.length >= chunkCommands ||
          chunk.bytes >= chunkBytes ||
          chunk.parts >= chunkArguments)
      if (chunk !== undefined && full) yield chunk
      if (chunk === undefined || full) {
        const number = numbers.get(slot) ?? 0
        numbers.set(slot, number + 1)
        chunk = { slot, number, commands: [], parts: 0, bytes: 0 }
      }
      chunk.commands.push(command)
      chunk.parts += command.length
      chunk.bytes += sizeOf(command)
    }
    if (chunk !== undefined) yield chunk
  }
}
