// Batches as bytes and back. The first byte of a frame says how the rest is laid out, so that a reader needs nothing but
// the frame. Numbers are little-endian, as on every platform that Gearmill runs on.
//
//   text     a column of texts                    columns.ts
//   numbers  a column of numbers
//   counts   both                                 { key, value }
//   pairs    both                                 [key, value]
//   keyed    bytes of the first frame, two frames [key, record] of any keys and records
//   table    a column for each name               objects that are alike: table.ts
//   plain    MessagePack                          records.ts
//   clone    V8's structured clone                clone.ts
import { GearmillError } from '../errors.ts'
import {
  type Batch,
  type CountBatch,
  type NumberBatch,
  type PairBatch,
  fromStrings,
  textColumn,
  toRecords,
} from './batch.ts'
import { deserializeRecords, serializeRecords } from './clone.ts'
import { ColumnReader, assemble, numberParts, textParts } from './columns.ts'
import { decodePlain, encodePlain } from './records.ts'
import { decodeTable, encodeTable } from './table.ts'

const tags = { text: 1, numbers: 2, counts: 3, pairs: 4, plain: 5, clone: 6, table: 7, keyed: 8 } as const

/** Makes a frame of records, all or none. */
export type Encode = (records: unknown[]) => Uint8Array

/** Records as a frame: packed columns where all records have one known shape, whatever structured clone carries otherwise. Throws PlanError PLAN_RECORD. */
export function encodeRecords(records: unknown[]): Uint8Array {
  return encodeBatch(packed(records))
}

/** The same of `[key, record]` pairs: all are taken for arrays of these two, with nothing else. */
export function encodeKeyed(pairs: unknown[]): Uint8Array {
  const batch = packed(pairs)
  if (batch.kind !== 'records') return encodeBatch(batch)
  const keys = new Array<unknown>(pairs.length)
  const records = new Array<unknown>(pairs.length)
  for (let i = 0; i < pairs.length; i++) {
    const pair = pairs[i] as readonly [unknown, unknown]
    keys[i] = pair[0]
    records[i] = pair[1]
  }
  const keyFrame = encodeRecords(keys)
  const size = new Uint8Array(Uint32Array.of(keyFrame.length).buffer)
  return assemble([[tags.keyed], size, keyFrame, encodeRecords(records)])
}

/** The records of a frame. */
export function decodeRecords(frame: Uint8Array): unknown[] {
  return toRecords(decodeBatch(frame))
}

/** A batch as a frame, as it is: records are not looked at for columns (`packed` does that). Throws PlanError PLAN_RECORD where a record is none that structured clone carries. */
export function encodeBatch(batch: Batch): Uint8Array {
  switch (batch.kind) {
    case 'text':
      return assemble([[tags.text], ...textParts(batch)])
    case 'numbers':
      return assemble([[tags.numbers], ...numberParts(batch.values)])
    case 'counts':
    case 'pairs':
      return assemble([[tags[batch.kind]], ...textParts(batch.keys), ...numberParts(batch.values)])
    case 'records':
      return encodeAny(batch.records)
  }
}

function encodeAny(records: readonly unknown[]): Uint8Array {
  // A property of all objects would be taken for the records' own.
  if (!haveObjectsProperties()) {
    const table = encodeTable(records)
    if (table !== undefined) return assemble([[tags.table], ...table])
    const plain = encodePlain(records)
    if (plain !== undefined) return assemble([[tags.plain], plain])
  }
  return assemble([[tags.clone], serializeRecords(records)])
}

function haveObjectsProperties(): boolean {
  for (const name in Object.prototype) if (name !== '') return true
  return false
}

/** The batch of a frame. Its columns are copies where alignment asks for it, else views on the frame: do not change it. */
export function decodeBatch(frame: Uint8Array): Batch {
  const body = frame.subarray(1)
  switch (frame[0]) {
    case tags.text:
      return { kind: 'text', ...new ColumnReader(body).text() }
    case tags.numbers:
      return { kind: 'numbers', values: new ColumnReader(body).numbers() }
    case tags.counts:
    case tags.pairs: {
      const reader = new ColumnReader(body)
      const keys = reader.text()
      return { kind: frame[0] === tags.counts ? 'counts' : 'pairs', keys, values: reader.numbers() }
    }
    case tags.keyed:
      return { kind: 'records', records: decodeKeyed(body) }
    case tags.table:
      return { kind: 'records', records: decodeTable(new ColumnReader(body)) }
    case tags.plain:
      return { kind: 'records', records: decodePlain(body) }
    case tags.clone:
      return { kind: 'records', records: deserializeRecords(body) }
    default:
      throw new GearmillError(
        'EXECUTION_BLOCK_LOST',
        `a frame starts with ${frame[0]}, which no version of this codec writes`,
      )
  }
}

function decodeKeyed(body: Uint8Array): unknown[] {
  const size = new DataView(body.buffer, body.byteOffset).getUint32(0, true)
  const keys = decodeRecords(body.subarray(4, 4 + size))
  const records = decodeRecords(body.subarray(4 + size))
  const pairs = new Array<[unknown, unknown]>(keys.length)
  for (let i = 0; i < keys.length; i++) pairs[i] = [keys[i], records[i]]
  return pairs
}

/** Records as columns where all of them have one of the known shapes, else as they are. */
export function packed(records: unknown[]): Batch {
  const first = records[0]
  if (typeof first === 'string' && areStrings(records)) return fromStrings(records)
  if (typeof first === 'number') return packedNumbers(records) ?? { kind: 'records', records }
  if (typeof first === 'object' && first !== null) {
    const columns = Array.isArray(first) ? packedPairs(records) : packedCounts(records)
    if (columns !== undefined) return columns
  }
  return { kind: 'records', records }
}

function areStrings(records: unknown[]): records is string[] {
  for (let i = 0; i < records.length; i++) if (typeof records[i] !== 'string') return false
  return true
}

function packedNumbers(records: readonly unknown[]): NumberBatch | undefined {
  const values = new Float64Array(records.length)
  for (let i = 0; i < records.length; i++) {
    const value = records[i]
    if (typeof value !== 'number') return undefined
    values[i] = value
  }
  return { kind: 'numbers', values }
}

function packedCounts(records: readonly unknown[]): CountBatch | undefined {
  const texts = new Array<string>(records.length)
  const values = new Float64Array(records.length)
  for (let i = 0; i < records.length; i++) {
    const record = records[i]
    if (!isCount(record)) return undefined
    const { key, value } = record
    if (typeof key !== 'string' || typeof value !== 'number') return undefined
    texts[i] = key
    values[i] = value
  }
  const keys = textColumn(texts)
  return keys === undefined ? undefined : { kind: 'counts', keys, values }
}

// A plain object with these two properties in this order (order is carried, as structured clone does) and no other.
function isCount(record: unknown): record is { readonly key: unknown; readonly value: unknown } {
  if (typeof record !== 'object' || record === null || Object.getPrototypeOf(record) !== Object.prototype) return false
  let names = 0
  for (const name in record) {
    if (names > 1 || name !== (names === 0 ? 'key' : 'value')) return false
    names++
  }
  return names === 2
}

function packedPairs(records: readonly unknown[]): PairBatch | undefined {
  const texts = new Array<string>(records.length)
  const values = new Float64Array(records.length)
  for (let i = 0; i < records.length; i++) {
    const record = records[i]
    // Arrays may have named properties, which would be lost.
    if (!Array.isArray(record) || record.length !== 2 || Object.keys(record).length !== 2) return undefined
    const [key, value] = record as unknown[]
    if (typeof key !== 'string' || typeof value !== 'number') return undefined
    texts[i] = key
    values[i] = value
  }
  const keys = textColumn(texts)
  return keys === undefined ? undefined : { kind: 'pairs', keys, values }
}
