// The position file: how a supervisor learns, after its executor died, which records were about to run. A message could be
// lost with the process; a write to a shared file is not.
import { readSync, writeSync } from 'node:fs'
import type { Position } from '../attempts.ts'

/** Descriptor of the position file in the executor process. */
export const positionDescriptor = 4

const size = 16

export class PositionWriter {
  readonly #descriptor: number
  readonly #values = new Float64Array(2)
  readonly #bytes = new Uint8Array(this.#values.buffer)

  constructor(descriptor: number = positionDescriptor) {
    this.#descriptor = descriptor
  }

  /** A count of 0: nothing runs. */
  write(index: number, count: number): void {
    this.#values[0] = index
    this.#values[1] = count
    writeSync(this.#descriptor, this.#bytes, 0, size, 0)
  }
}

export function readPosition(descriptor: number): Position | undefined {
  const values = new Float64Array(2)
  const read = readSync(descriptor, new Uint8Array(values.buffer), 0, size, 0)
  const [index = 0, count = 0] = values
  return read === size && count > 0 ? { index, count } : undefined
}
