// A part of an outbox: effects of one slot, as many as a server applies in about 2 ms.
import type { Argument } from '../redis/deployment.ts'
import { packEffects, sizeOf } from './effects.ts'
import type { Command } from './runner.ts'

const mostCommands = 400
const mostBytes = 64 * 1024
const mostArguments = 2000

export class EffectChunk {
  readonly slot: number
  arguments: Argument[] = []
  bytes = 0
  #commands = 0

  constructor(slot: number) {
    this.slot = slot
  }

  /** Takes commands of a record, all of this slot; gives their size in bytes. */
  add(record: number, commands: readonly Command[]): number {
    let bytes = 0
    for (const command of commands) bytes += sizeOf(command)
    packEffects(this.arguments, record, commands)
    this.#commands += commands.length
    this.bytes += bytes
    return bytes
  }

  get isFull(): boolean {
    return this.#commands >= mostCommands || this.bytes >= mostBytes || this.arguments.length >= mostArguments
  }

  /** Hands out what it holds, in the form that the server functions take, and is empty then. */
  take(): readonly Argument[] {
    const taken = this.arguments
    this.arguments = []
    this.#commands = 0
    this.bytes = 0
    return taken
  }
}
