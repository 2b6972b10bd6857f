// Writes maps: entries are packed as they come, their rows (key words and place) are sorted on the side and written
// behind them. Memory is bounded, whatever the number of entries.
import { closeSync, openSync } from 'node:fs'
import { basename, dirname, join } from 'node:path'
import { BufferError } from '../errors.ts'
import { mapFile, unmap } from '../native/mmap.ts'
import { absolutePath, checkOptions } from './arguments.ts'
import { feed, segmentBytesOf, SegmentWriter, type WriteOptions } from './array-writer.ts'
import { InPlaceCodec, MisfitError, within, type Codec } from './codec.ts'
import { codecOf } from './compile.ts'
import type { KeyForm, RowsEntry } from './directory.ts'
import { MAX_SEGMENT_BYTES } from './header.ts'
import { checkKeyNode } from './keys.ts'
import { KeyWords, numberBits } from './map-keys.ts'
import type { Packer } from './packer.ts'
import { RowSorter } from './row-sorter.ts'
import { schemaToJson } from './schema-json.ts'
import { describeValue, nodeIn, type Schema } from './schema.ts'
import { Segment } from './segment.ts'
import { putText } from './values/text.ts'

export interface MapOptions extends WriteOptions {
  /** Whether a key may have several values; otherwise its last one counts. Default false. */
  readonly multi?: boolean
  /** Do not store keys, only hashes: smaller, but a key that is not there may find the value of another. Default false. */
  readonly approximate?: boolean
  /** Bits of hashes, 32 (the default) or 64. Keys that are numbers are stored as they are. */
  readonly hashBits?: 32 | 64
  /** Where rows are sorted that do not fit into memory; default: the directory of the file. */
  readonly tempDir?: string
  /** Rows sorted in memory at a time, 1 to 2^20 (the default, 16 MiB). */
  readonly batchRows?: number
}

/** Errors: `BUFFER_OPTION`. */
export function checkMapOptions(options: MapOptions): void {
  checkOptions(options, ['multi', 'approximate'])
  segmentBytesOf(options)
  const { hashBits, batchRows } = options
  if (hashBits !== undefined && hashBits !== 32 && hashBits !== 64) {
    throw new BufferError('BUFFER_OPTION', `hashBits: expected 32 or 64, got ${describeValue(hashBits)}`)
  }
  if (batchRows !== undefined && !(Number.isInteger(batchRows) && batchRows > 0)) {
    throw new BufferError('BUFFER_OPTION', `batchRows: expected 1 to ${2 ** 20}, got ${describeValue(batchRows)}`)
  }
}

/** Bytes of rows that are collected before they are written. */
const FLUSH_BYTES = 2 ** 20

export class MapWriter {
  readonly #writer: SegmentWriter
  readonly #sorter: RowSorter
  readonly #key: Codec
  readonly #value: Codec
  readonly #schema: object
  readonly #words: KeyWords
  readonly #multi: boolean
  /** The codec of values that lie in their rows. */
  readonly #inline: InPlaceCodec | undefined
  readonly #rowSegmentBytes: number
  #count = 0

  constructor(path: string, key: Schema<unknown>, value: Schema<unknown>, options: MapOptions = {}) {
    const nodes = [nodeIn(key, 'the schema of keys'), nodeIn(value, 'the schema of values')] as const
    checkKeyNode(nodes[0], 'the key of a map')
    checkMapOptions(options)
    const { hashBits = 32, batchRows } = options
    const bits = numberBits(nodes[0])
    const form: KeyForm = bits !== undefined ? 'number' : options.approximate === true ? 'approximate' : 'exact'
    this.#schema = schemaToJson(nodes)
    this.#key = codecOf(nodes[0])
    this.#value = codecOf(nodes[1])
    this.#words = new KeyWords(this.#key, form, bits ?? hashBits)
    this.#multi = options.multi === true
    this.#inline = form !== 'exact' && isInline(this.#value) ? this.#value : undefined
    this.#rowSegmentBytes = options.segmentBytes ?? MAX_SEGMENT_BYTES
    const tempDir = options.tempDir === undefined ? undefined : absolutePath(options.tempDir, 'tempDir')
    this.#writer = new SegmentWriter(path, options, false)
    const { path: final } = this.#writer.file
    this.#sorter = new RowSorter(join(tempDir ?? dirname(final), basename(final)), batchRows)
  }

  add(key: unknown, value: unknown): void {
    this.#words.fillOrThrow(key)
    this.addRow(this.#words.high, this.#words.low, key, value)
  }

  /** Adds an entry whose key words are known; approximate maps have nothing else of the key. */
  addRow(high: number, low: number, key: unknown, value: unknown): void {
    this.#count++
    if (this.#inline) {
      this.#sorter.add(high, low, inlineWord(this.#inline, value), 0)
      return
    }
    const exact = this.#words.form === 'exact'
    const position = this.#writer.append((packer) =>
      exact ? this.#putEntry(packer, key, value) : this.#value.put(packer, value),
    )
    this.#sorter.add(high, low, position, this.#writer.segment)
  }

  /** The slot of the value, and right behind it the key: one cache line for both. */
  #putEntry(packer: Packer, key: unknown, value: unknown): number {
    const at = packer.place(this.#value.size, 1)
    if (this.#key.node.kind === 'str') putText(packer, key as string)
    else this.#key.write(packer, packer.place(this.#key.size, 1), key === 0 ? 0 : key)
    this.#value.write(packer, at, value)
    return at
  }

  /** Entries added so far. */
  get count(): number {
    return this.#count
  }

  /** Sorts, writes the rows, and puts the file at its path. Errors: `BUFFER_FILE`. */
  async finish(): Promise<void> {
    this.#writer.endSegment()
    const wide = this.#writer.entries.length > 1
    const rows = this.#writeRows(wide)
    this.#sorter.close()
    const { form, bits } = this.#words
    const map = { keys: form, bits, multi: this.#multi, inline: this.#inline !== undefined, wide, rows }
    const directory = { kind: 'map', schema: this.#schema, segments: this.#writer.entries, map }
    await this.#writer.file.finish(directory)
  }

  abort(): void {
    this.#sorter.close()
    this.#writer.file.abort()
  }

  #writeRows(wide: boolean): RowsEntry[] {
    const sink = new RowSink(this.#writer, this.#words.bits, wide, this.#rowSegmentBytes)
    if (this.#multi) {
      this.#sorter.each((words, at) => sink.add(words, at))
      return sink.finish()
    }
    const packed = new PackedSegments(this.#writer)
    try {
      // Rows of one key, or of several that share a hash: only the last of each key goes on. Approximate maps cannot
      // tell these apart: all stay, the last in front, for it is the one that counts if the key was the same.
      const approximate = this.#words.form === 'approximate'
      let group: Uint32Array[] = []
      const flush = () => {
        if (approximate) group.reverse()
        for (const row of group) sink.add(row, 0)
        group = []
      }
      this.#sorter.each((words, at) => {
        const [first] = group
        if (first && (first[0] !== words[at] || first[1] !== words[at + 1])) flush()
        const row = words.slice(at, at + 4)
        const same = group.findIndex((other) => this.#isSameKey(packed, other, row))
        if (same >= 0) group.splice(same, 1)
        group.push(row)
      })
      flush()
      return sink.finish()
    } finally {
      packed.close()
    }
  }

  /** Whether two rows with equal key words have the same key (approximate maps: the same value). */
  #isSameKey(packed: PackedSegments, a: Uint32Array, b: Uint32Array): boolean {
    const { form } = this.#words
    if (form === 'number') return true
    if (form === 'approximate') return a[2] === b[2] && a[3] === b[3]
    const behind = this.#value.size
    const key = this.#words.keyAt(packed.at(a[3] as number), (a[2] as number) + behind)
    return this.#words.isAt(packed.at(b[3] as number), (b[2] as number) + behind, key)
  }
}

/** Whether values lie in the rows themselves: fixed types of at most a word. */
export function isInline(codec: Codec): codec is InPlaceCodec {
  return codec instanceof InPlaceCodec && codec.size <= 4
}

const word = new DataView(new ArrayBuffer(4))

function inlineWord(codec: InPlaceCodec, value: unknown): number {
  word.setUint32(0, 0)
  codec.write({ base: 0, view: word }, 0, value)
  return word.getUint32(0, true)
}

/** The finished segments of a file that is still being written, mapped to compare keys. */
class PackedSegments {
  readonly #writer: SegmentWriter
  readonly #open = new Map<number, { readonly segment: Segment; readonly buffer: ArrayBuffer }>()

  constructor(writer: SegmentWriter) {
    this.#writer = writer
  }

  at(index: number): Segment {
    let held = this.#open.get(index)
    if (!held) {
      const entry = this.#writer.entries[index]
      if (!entry) throw new BufferError('BUFFER_CORRUPT', `segment ${index} was not written`)
      const fd = openSync(this.#writer.file.temporary, 'r')
      try {
        const buffer = mapFile(fd, entry.at, entry.bytes, 'read')
        held = { buffer, segment: new Segment(buffer, this.#writer.file.temporary) }
      } finally {
        closeSync(fd)
      }
      this.#open.set(index, held)
    }
    return held.segment
  }

  close(): void {
    for (const { segment, buffer } of this.#open.values()) {
      segment.close()
      unmap(buffer)
    }
  }
}

/** Writes sorted rows in segments, in as few words as their form needs. */
class RowSink {
  readonly #writer: SegmentWriter
  readonly #double: boolean
  readonly #wide: boolean
  readonly #most: number
  readonly #buffer = new Uint32Array(FLUSH_BYTES / 4 + 4)
  readonly #entries: RowsEntry[] = []
  #used = 0
  #count = 0

  constructor(writer: SegmentWriter, bits: 32 | 64, wide: boolean, segmentBytes: number) {
    this.#writer = writer
    this.#double = bits === 64
    this.#wide = wide
    this.#most = Math.floor(segmentBytes / (bits / 8 + (wide ? 8 : 4)))
  }

  add(words: Uint32Array, at: number): void {
    if (this.#count === this.#most) this.#end()
    if (this.#count++ === 0) this.#writer.file.beginSegment()
    const buffer = this.#buffer
    buffer[this.#used++] = words[at] as number
    if (this.#double) buffer[this.#used++] = words[at + 1] as number
    buffer[this.#used++] = words[at + 2] as number
    if (this.#wide) buffer[this.#used++] = words[at + 3] as number
    if (this.#used * 4 >= FLUSH_BYTES) this.#flush()
  }

  finish(): RowsEntry[] {
    if (this.#count > 0) this.#end()
    return this.#entries
  }

  #flush(): void {
    this.#writer.file.write(new Uint8Array(this.#buffer.buffer, 0, this.#used * 4))
    this.#used = 0
  }

  #end(): void {
    this.#flush()
    this.#entries.push({ ...this.#writer.file.endSegment(), count: this.#count })
    this.#count = 0
  }
}

function refuseEntry(entry: unknown): never {
  throw new MisfitError('a pair of key and value', describeValue(entry))
}

/**
 * Builds a map from entries, which may be more than fit into memory. Until it is complete, whatever was at `path`
 * stays. Returns the number of entries taken.
 * Errors: `BUFFER_VALUE` (with the index of the entry), `BUFFER_TOO_LARGE`, `BUFFER_FILE`, `BUFFER_OPTION`.
 */
export async function buildMap<K, V>(
  path: string,
  key: Schema<K>,
  value: Schema<V>,
  entries: Iterable<readonly [K, V]> | AsyncIterable<readonly [K, V]>,
  options: MapOptions & { readonly signal?: AbortSignal } = {},
): Promise<number> {
  const writer = new MapWriter(path, key, value, options)
  try {
    const take = (entry: readonly [K, V], index: number) => {
      try {
        if (typeof entry !== 'object' || (entry as unknown) === null) refuseEntry(entry)
        writer.add(entry[0], entry[1])
      } catch (error) {
        throw within(error, `[${index}]`)
      }
    }
    await feed(entries, take, options.signal)
    await writer.finish()
    return writer.count
  } catch (error) {
    writer.abort()
    throw error
  }
}
