// What runs in a host now, in a file that outlives it: one fixed place for each seat, behind one for what ends the host. The
// service reads it to end what takes too long, and to find out what a host died of.
import { createHash } from 'node:crypto'
import { fstatSync, readSync, writeSync } from 'node:fs'
import type { Running } from './protocol.ts'

/** Descriptor of the position file in a host. */
export const positionDescriptor = 4

const placeBytes = 2048
/** Of a name, in UTF-16 units: two of them fit into a place as JSON, whatever they consist of. */
const longestName = 100

/** A stream's key or an event's name as it is noted: long ones as what tells them apart. */
export function placeName(name: string): string {
  return name.length <= longestName ? name : `#${createHash('sha256').update(name).digest('hex')}`
}

export class HostPosition {
  readonly #buffer = Buffer.alloc(placeBytes)

  write(place: number, running: Running | undefined): void {
    this.#put(place + 1, running === undefined ? '' : JSON.stringify(running))
  }

  /** The host is about to end, and knows why. */
  leave(reason: string): void {
    this.#put(0, reason)
  }

  #put(place: number, text: string): void {
    const length = this.#buffer.write(text, 4, placeBytes - 4)
    this.#buffer.writeUInt32LE(length, 0)
    writeSync(positionDescriptor, this.#buffer, 0, 4 + length, place * placeBytes)
  }
}

/** Why a host ended, if it said so. */
export function readReason(descriptor: number): string | undefined {
  const bytes = Buffer.alloc(placeBytes)
  const size = readSync(descriptor, bytes, 0, placeBytes, 0)
  const length = size < 4 ? 0 : bytes.readUInt32LE(0)
  return length === 0 ? undefined : bytes.toString('utf8', 4, 4 + length)
}

export function readRunning(descriptor: number): Running[] {
  const size = fstatSync(descriptor).size
  const bytes = Buffer.alloc(size)
  readSync(descriptor, bytes, 0, size, 0)
  const found: Running[] = []
  for (let at = placeBytes; at + 4 <= size; at += placeBytes) {
    const length = bytes.readUInt32LE(at)
    if (length === 0) continue
    try {
      found.push(JSON.parse(bytes.toString('utf8', at + 4, at + 4 + length)) as Running)
    } catch {
      // The host died in the middle of writing it.
    }
  }
  return found
}
