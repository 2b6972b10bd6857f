// The stores that are compared: each builds a file of records (or of keys), opens it, and reads from it.
import { readFileSync, writeFileSync } from 'node:fs'
import { Builder, ByteBuffer } from 'flatbuffers'
import { open as openLmdb } from 'lmdb'
import { pack, unpack } from 'msgpackr'
import { buildArray, buildMap, f64, list, openArray, openMap, str, struct, u32 } from '../../src/buffers/index.ts'
import { keyOf, records, type Rec } from './records.ts'

export interface RecordReader {
  score(place: number): number
  name(place: number): string
  /** The sum of all scores. */
  scan(): number
  close(): void
}

export interface RecordStore {
  readonly name: string
  build(path: string, count: number): Promise<void>
  open(path: string, count: number): RecordReader
}

export interface KeyReader {
  /** Undefined, or anything but a number, if it is not there. */
  get(key: string): number | undefined
  close(): void
}

export interface KeyStore {
  readonly name: string
  build(path: string, count: number): Promise<void>
  open(path: string): KeyReader
}

const Row = struct('Row', { id: u32, name: str, score: f64, tags: list(str) })

const gearmill: RecordStore = {
  name: 'gearmill',
  async build(path, count) {
    await buildArray(path, Row, records(count), { intern: true })
  },
  open(path) {
    const array = openArray(path, Row)
    const cursor = array.cursor()
    return {
      score: (place) => cursor.moveTo(place).score,
      name: (place) => cursor.moveTo(place).name,
      scan() {
        let sum = 0
        for (const row of array.scan()) sum += row.score
        return sum
      },
      close: () => array.close(),
    }
  },
}

const lmdb: RecordStore = {
  name: 'lmdb',
  async build(path, count) {
    const db = openLmdb<Rec, number>({ path, sharedStructuresKey: Symbol.for('structures') })
    for (const record of records(count)) void db.put(record.id, record)
    await db.flushed
    await db.close()
  },
  open(path) {
    const db = openLmdb<Rec, number>({ path, readOnly: true, sharedStructuresKey: Symbol.for('structures') })
    return {
      score: (place) => db.get(place)?.score ?? 0,
      name: (place) => db.get(place)?.name ?? '',
      scan() {
        let sum = 0
        for (const { value } of db.getRange()) sum += value.score
        return sum
      },
      close: () => void db.close(),
    }
  },
}

/** All in the heap: what a program has that reads a whole file first. */
function inHeap(name: string, write: (all: Rec[]) => Uint8Array, read: (bytes: Buffer) => Rec[]): RecordStore {
  return {
    name,
    async build(path, count) {
      writeFileSync(path, write([...records(count)]))
    },
    open(path) {
      const all = new Map(read(readFileSync(path)).map((record) => [record.id, record]))
      return {
        score: (place) => all.get(place)?.score ?? 0,
        name: (place) => all.get(place)?.name ?? '',
        scan() {
          let sum = 0
          for (const record of all.values()) sum += record.score
          return sum
        },
        close: () => all.clear(),
      }
    },
  }
}

// A table of id (4), name (6), score (8) and tags (10), as flatc would lay it out.
const flatbuffers: RecordStore = {
  name: 'flatbuffers',
  async build(path, count) {
    const builder = new Builder(2 ** 27)
    const rows: number[] = []
    for (const { id, name, score, tags } of records(count)) {
      const strings = tags.map((tag) => builder.createSharedString(tag))
      builder.startVector(4, strings.length, 4)
      for (const at of strings.toReversed()) builder.addOffset(at)
      const vector = builder.endVector()
      const text = builder.createString(name)
      builder.startObject(4)
      builder.addFieldInt32(0, id, 0)
      builder.addFieldOffset(1, text, 0)
      builder.addFieldFloat64(2, score, 0)
      builder.addFieldOffset(3, vector, 0)
      rows.push(builder.endObject())
    }
    builder.startVector(4, rows.length, 4)
    for (const row of rows.toReversed()) builder.addOffset(row)
    builder.finish(builder.endVector())
    writeFileSync(path, builder.asUint8Array())
  },
  open(path, count) {
    const buffer = new ByteBuffer(readFileSync(path))
    const vector = buffer.readInt32(0) + 4
    const row = (place: number) => buffer.__indirect(vector + place * 4)
    const score = (place: number) => {
      const table = row(place)
      return buffer.readFloat64(table + buffer.__offset(table, 8))
    }
    return {
      score,
      name(place) {
        const table = row(place)
        return buffer.__string(table + buffer.__offset(table, 6)) as string
      },
      scan() {
        let sum = 0
        for (let place = 0; place < count; place++) sum += score(place)
        return sum
      },
      close: () => buffer.clear(),
    }
  },
}

export const recordStores: readonly RecordStore[] = [
  gearmill,
  lmdb,
  flatbuffers,
  inHeap('msgpackr + Map', pack, (bytes) => unpack(bytes) as Rec[]),
  inHeap(
    'JSON + Map',
    (all) => Buffer.from(JSON.stringify(all)),
    (bytes) => JSON.parse(bytes.toString()) as Rec[],
  ),
]

function* keys(count: number): Generator<readonly [string, number]> {
  for (let index = 0; index < count; index++) yield [keyOf(index), index]
}

function gearmillKeys(
  name: string,
  options: { readonly approximate?: boolean; readonly hashBits?: 32 | 64 },
): KeyStore {
  return {
    name,
    async build(path, count) {
      await buildMap(path, str, u32, keys(count), options)
    },
    open(path) {
      const map = openMap(path, { key: str, value: u32, preload: 'index' })
      return { get: (key) => map.get(key), close: () => map.close() }
    },
  }
}

const lmdbKeys: KeyStore = {
  name: 'lmdb',
  async build(path, count) {
    const db = openLmdb<number, string>({ path })
    for (const [key, value] of keys(count)) void db.put(key, value)
    await db.flushed
    await db.close()
  },
  open(path) {
    const db = openLmdb<number, string>({ path, readOnly: true })
    return { get: (key) => db.get(key), close: () => void db.close() }
  },
}

const msgpackKeys: KeyStore = {
  name: 'msgpackr + Map',
  async build(path, count) {
    writeFileSync(path, pack([...keys(count)]))
  },
  open(path) {
    const map = new Map(unpack(readFileSync(path)) as [string, number][])
    return { get: (key) => map.get(key), close: () => map.clear() }
  },
}

export const keyStores: readonly KeyStore[] = [
  gearmillKeys('gearmill', {}),
  gearmillKeys('gearmill, 64 bits', { hashBits: 64 }),
  gearmillKeys('gearmill, approximate', { approximate: true }),
  lmdbKeys,
  msgpackKeys,
]
