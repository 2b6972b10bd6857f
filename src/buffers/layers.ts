// What both layered stores share: following the file that takes the place of the open one, packed updates in memory,
// and rebuilding under a lock, so that the updates of several processes all reach the next file.
//
// A rebuild takes the lock, reads the newest file and the updates, and writes a new file, which marks the old one
// superseded and is renamed over it. Whoever has the old one mapped sees the mark at the next access and opens the new.
import { statSync } from 'node:fs'
import { setTimeout } from 'node:timers/promises'
import { BufferError } from '../errors.ts'
import { tryLock } from '../native/mmap.ts'
import { absolutePath } from './arguments.ts'
import type { Codec } from './codec.ts'
import { decodeAt } from './decoder.ts'
import { MAX_SEGMENT_BYTES } from './header.ts'
import { Packer, SegmentFull } from './packer.ts'
import { Segment } from './segment.ts'

/** Milliseconds between two looks at a lock that someone else holds. */
const LOCK_POLL_MS = 10

/** An open buffer that may be replaced at its path. */
interface Layer {
  readonly superseded: boolean
  readonly inode: number
  /** Gives back what views on it do not need. */
  retire(): void
  close(): void
}

export class Follower<L extends Layer> {
  readonly path: string
  readonly #open: (path: string) => L
  #layer: L | undefined
  #closed = false
  /** While this process rebuilds, it goes on with the file and the updates that it began with. */
  #pinned = false

  /** A file that does not exist yet is an empty layer, until someone writes it. */
  constructor(path: string, open: (path: string) => L) {
    this.path = absolutePath(path)
    this.#open = open
    this.#follow()
  }

  /** The file that is at the path now; undefined if there is none. Errors: `BUFFER_CLOSED`. */
  current(): L | undefined {
    if (this.#closed) throw new BufferError('BUFFER_CLOSED', `${this.path} was closed`)
    if (!this.#pinned && (this.#layer === undefined || this.#layer.superseded)) this.#follow()
    return this.#layer
  }

  /**
   * Opens what is at the path. The old map is not closed: views on it stay good, and it is given back when the last of
   * them is collected.
   */
  #follow(): void {
    const inode = this.#closed ? undefined : inodeAt(this.path)
    if (inode === undefined || inode === this.#layer?.inode) return
    const old = this.#layer
    this.#layer = this.#open(this.path)
    old?.retire()
  }

  /**
   * Runs `write` on the newest file while nobody else rebuilds; then follows what it wrote, and calls `settle` in the
   * same turn, so that no reader sees an update twice or not at all.
   */
  async rebuild(write: (newest: L | undefined) => Promise<void>, settle: (written: boolean) => void): Promise<void> {
    let release = tryLock(`${this.path}.lock`)
    while (!release) {
      await setTimeout(LOCK_POLL_MS)
      release = tryLock(`${this.path}.lock`)
    }
    let written = false
    try {
      this.current()
      this.#follow()
      this.#pinned = true
      await write(this.#layer)
      written = true
    } finally {
      try {
        if (this.#pinned) this.#unpin(() => settle(written))
      } finally {
        release()
      }
    }
  }

  /** Follows what was written; updates are settled even if something else than a buffer is at the path by now. */
  #unpin(settle: () => void): void {
    this.#pinned = false
    try {
      this.#follow()
    } finally {
      settle()
    }
  }

  get closed(): boolean {
    return this.#closed
  }

  close(): void {
    this.#closed = true
    this.#layer?.close()
  }
}

function inodeAt(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino
}

function packOrThrow(packer: Packer, codec: Codec, value: unknown): number {
  try {
    return packer.pack(codec, value)
  } catch (error) {
    if (!(error instanceof SegmentFull)) throw error
    throw new BufferError('BUFFER_TOO_LARGE', `a value does not fit into a segment of ${MAX_SEGMENT_BYTES} bytes`)
  }
}

/** A value packed as it will be in the file: checked, and independent of the object that it was made from. */
export class PackedValue {
  readonly #codec: Codec
  readonly #segment: Segment
  readonly #at: number

  /** Errors: `BUFFER_VALUE`, `BUFFER_TOO_LARGE`. */
  constructor(codec: Codec, value: unknown, name: string) {
    const packer = new Packer(MAX_SEGMENT_BYTES, false)
    this.#codec = codec
    this.#at = packOrThrow(packer, codec, value)
    const bytes = new Uint8Array(packer.pending())
    this.#segment = new Segment(bytes.buffer, name)
  }

  plain(): unknown {
    return decodeAt(this.#codec, this.#segment, this.#at, true)
  }

  view(): unknown {
    return this.#codec.viewAt(this.#segment, this.#at)
  }
}
