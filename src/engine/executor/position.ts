// The position file: how a supervisor learns, after its executor died, which records were about to run, and what the
// executor had to say at the end. A message could be lost with the process; a write to a shared file is not.
import { fstatSync, readSync, writeSync } from 'node:fs'
import type { Position } from '../attempts.ts'
import type { Failure } from '../runner.ts'

/** Descriptor of the position file in the executor process. */
export const positionDescriptor = 4

const size = 16
const longestText = 16 * 1024

/** Something was thrown outside of every call, which ended the process. */
export interface LastWords {
  readonly failure: Failure
  /** The record whose function it came from, where that is known. */
  readonly record?: number
}

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

  leave({ failure, record }: LastWords): void {
    const { code, message, stack, cause } = failure
    const cut = (text: string | undefined): string | undefined => text?.slice(0, longestText)
    const short = {
      code,
      message: cut(message),
      stack: cut(stack),
      cause: cause && { ...cause, stack: cut(cause.stack) },
    }
    writeSync(this.#descriptor, Buffer.from(JSON.stringify({ failure: short, record })), 0, undefined, size)
  }
}

export function readPosition(descriptor: number): Position | undefined {
  const values = new Float64Array(2)
  const read = readSync(descriptor, new Uint8Array(values.buffer), 0, size, 0)
  const [index = 0, count = 0] = values
  return read === size && count > 0 ? { index, count } : undefined
}

export function readLastWords(descriptor: number): LastWords | undefined {
  const bytes = Buffer.alloc(Math.max(0, fstatSync(descriptor).size - size))
  if (bytes.length === 0) return undefined
  readSync(descriptor, bytes, 0, bytes.length, size)
  try {
    return JSON.parse(bytes.toString()) as LastWords
  } catch {
    // The process was killed in the middle of it.
    return undefined
  }
}
