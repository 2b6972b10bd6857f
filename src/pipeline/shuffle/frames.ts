// Records into the frames of a block, a frame at a time: as many records as make about 256 KiB.
import { type Encode, encodeRecords } from '../../codec/frames.ts'

/** Where frames go: an output block, a spilled run. */
export interface FrameSink {
  append(frame: Uint8Array): Promise<void>
}

/** Receives a record that cannot be encoded, and why. */
export type Refuse = (record: unknown, error: unknown) => void

const targetBytes = 256 * 1024
const mostRecords = 4096

/** Buffers records and writes them in frames. The block is started with its first frame. */
export class FrameWriter {
  readonly #open: () => FrameSink
  readonly #refuse: Refuse
  readonly #frameOf: Encode
  #sink: FrameSink | undefined
  #records: unknown[] = []
  // The first frame is small: it tells how large records are.
  #limit = 16
  #bytes = 0
  // Bytes and records of what was encoded here.
  #encoded = 0
  #written = 0

  constructor(open: () => FrameSink, refuse: Refuse, encode: Encode = encodeRecords) {
    this.#open = open
    this.#refuse = refuse
    this.#frameOf = encode
  }

  /** Bytes of the frames so far. */
  get bytes(): number {
    return this.#bytes
  }

  add(record: unknown): void {
    this.#records.push(record)
  }

  /** Adds a frame behind the records so far. */
  async append(frame: Uint8Array): Promise<void> {
    await this.#write(true)
    this.#sink ??= this.#open()
    this.#bytes += frame.length
    await this.#sink.append(frame)
  }

  /** Writes full frames; undefined where there is none. */
  drain(): Promise<void> | undefined {
    return this.#records.length < this.#limit ? undefined : this.#write(false)
  }

  /** Writes the rest. */
  end(): Promise<void> {
    return this.#write(true)
  }

  async #write(all: boolean): Promise<void> {
    const records = this.#records
    this.#records = []
    let from = 0
    while (records.length - from >= (all ? 1 : this.#limit)) {
      const to = Math.min(records.length, from + this.#limit)
      const frame = this.#encode(from === 0 && to === records.length ? records : records.slice(from, to))
      from = to
      if (frame === undefined) continue
      this.#sink ??= this.#open()
      await this.#sink.append(frame)
    }
    if (from < records.length) this.#records = records.slice(from).concat(this.#records)
  }

  #encode(records: unknown[]): Uint8Array | undefined {
    let good = records
    let frame: Uint8Array
    try {
      frame = this.#frameOf(good)
    } catch {
      good = records.filter((record) => {
        try {
          this.#frameOf([record])
          return true
        } catch (error) {
          this.#refuse(record, error)
          return false
        }
      })
      if (good.length === 0) return undefined
      frame = this.#frameOf(good)
    }
    this.#bytes += frame.length
    this.#encoded += frame.length
    this.#written += good.length
    const average = this.#encoded / this.#written
    this.#limit = Math.max(1, Math.min(mostRecords, Math.floor(targetBytes / average)))
    return frame
  }
}
