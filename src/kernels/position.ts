// What runs in a host now, in a file that outlives it: a beat that shows that its event loop turns, and one place for each
// strand. Its supervisor reads it to end what hangs, and to find out what a host died of.
//
//   0  f64  time of the last beat, in milliseconds since 1970
//   8  places: f64 start of the step (0: nothing runs), f64 its time limit in ms, u16 length of the name, u8 1 where it
//      runs in the main thread and can hold it, the name
import { fstatSync, ftruncateSync, readSync, writeSync } from 'node:fs'
import { canMap, mapFile } from '../native/mmap.ts'

/** Descriptor of the position file in a host. */
export const positionDescriptor = 4

export const places = 256
const headBytes = 8
const placeBytes = 320
const nameAt = 19
const size = headBytes + places * placeBytes

export class PositionWriter {
  readonly #view: DataView
  readonly #bytes: Uint8Array
  readonly #descriptor: number
  readonly #mapped: boolean

  constructor(descriptor: number = positionDescriptor) {
    this.#descriptor = descriptor
    ftruncateSync(descriptor, size)
    this.#mapped = canMap
    const buffer = canMap ? mapFile(descriptor, 0, size, 'shared') : new ArrayBuffer(size)
    this.#view = new DataView(buffer)
    this.#bytes = new Uint8Array(buffer)
  }

  beat(now: number): void {
    this.#view.setFloat64(0, now, true)
    this.#sync(0, 8)
  }

  /** The strand that has a place from now on. */
  name(place: number, name: string): void {
    const at = headBytes + place * placeBytes
    const bytes = Buffer.from(name).subarray(0, placeBytes - nameAt)
    this.#view.setFloat64(at, 0, true)
    this.#view.setUint16(at + 16, bytes.length, true)
    this.#bytes.set(bytes, at + nameAt)
    this.#sync(at, placeBytes)
  }

  enter(place: number, now: number, timeoutMs: number, holds: boolean): void {
    const at = headBytes + place * placeBytes
    this.#view.setFloat64(at, now, true)
    this.#view.setFloat64(at + 8, timeoutMs, true)
    this.#bytes[at + 18] = holds ? 1 : 0
    this.#sync(at, nameAt)
  }

  leave(place: number): void {
    const at = headBytes + place * placeBytes
    this.#view.setFloat64(at, 0, true)
    this.#sync(at, 8)
  }

  #sync(at: number, length: number): void {
    if (!this.#mapped) writeSync(this.#descriptor, this.#bytes, at, length, at)
  }
}

export interface RunningStep {
  /** Lane and strand. */
  readonly name: string
  readonly since: number
  readonly timeoutMs: number
  /** It runs in the main thread. */
  readonly holds: boolean
}

export interface Position {
  readonly beat: number
  readonly running: readonly RunningStep[]
}

export function readPosition(descriptor: number): Position | undefined {
  if (fstatSync(descriptor).size < size) return undefined
  const bytes = Buffer.alloc(size)
  readSync(descriptor, bytes, 0, size, 0)
  const running: RunningStep[] = []
  for (let place = 0; place < places; place++) {
    const at = headBytes + place * placeBytes
    const since = bytes.readDoubleLE(at)
    if (since === 0) continue
    const length = bytes.readUInt16LE(at + 16)
    running.push({
      name: bytes.toString('utf8', at + nameAt, at + nameAt + length),
      since,
      timeoutMs: bytes.readDoubleLE(at + 8),
      holds: bytes[at + 18] === 1,
    })
  }
  return { beat: bytes.readDoubleLE(0), running }
}
