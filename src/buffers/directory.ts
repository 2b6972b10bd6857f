// The directory at the end of a file, as JSON: its schema, and where segments and rows lie. Read as hostile data.
import { BufferError } from '../errors.ts'
import { MAX_SEGMENT_BYTES } from './header.ts'
import { array, integer, record, type SchemaJson } from './schema-json.ts'

export type FileKind = 'array' | 'map'

/** A segment of objects: `count` of them, whose positions (u32 each) lie at `index` in the segment. */
export interface SegmentEntry {
  readonly at: number
  readonly bytes: number
  readonly crc: number
  readonly count: number
  readonly index: number
}

/** How the keys of a map are found: by their own value, by a hash and the stored key, or by a hash alone. */
export type KeyForm = 'number' | 'exact' | 'approximate'

/** A segment of rows: columns of keys (or hashes) and of places, each of `count` words. */
export interface RowsEntry {
  readonly at: number
  readonly bytes: number
  readonly crc: number
  readonly count: number
}

export interface MapEntry {
  readonly keys: KeyForm
  /** Bits of a key or hash: 32 or 64. */
  readonly bits: 32 | 64
  /** Whether a key may have several values. */
  readonly multi: boolean
  /** Whether the place of a row is the value itself (4 bytes or less), not a position. */
  readonly inline: boolean
  /** Whether positions are a segment and a position in it, since there is more than one segment. */
  readonly wide: boolean
  readonly rows: readonly RowsEntry[]
}

export interface Directory {
  readonly kind: FileKind
  readonly schema: SchemaJson
  readonly segments: readonly SegmentEntry[]
  readonly map?: MapEntry
}

/** The schema is checked by `schemaFromJson`. Errors: `BUFFER_CORRUPT`. */
export function readDirectory(text: string, fileBytes: number, path: string): Directory {
  const source = record(parse(text, path), 'the directory')
  const { kind } = source
  if (kind !== 'array' && kind !== 'map') return damaged(path, 'its kind')
  const extent = (entry: Readonly<Record<string, unknown>>) => {
    const at = integer(entry['at'])
    const bytes = integer(entry['bytes'])
    if (bytes > MAX_SEGMENT_BYTES || at + bytes > fileBytes) damaged(path, 'a segment')
    return { at, bytes, crc: integer(entry['crc']), count: integer(entry['count']) }
  }
  const segments = array(source['segments'], 'segments').map((raw): SegmentEntry => {
    const entry = record(raw, 'a segment')
    const index = integer(entry['index'])
    const segment = { ...extent(entry), index }
    if (index % 4 !== 0 || segment.at % 8 !== 0) damaged(path, 'the index of a segment')
    if (index + segment.count * (kind === 'array' ? 4 : 0) > segment.bytes) damaged(path, 'the index of a segment')
    return segment
  })
  const schema = source['schema'] as SchemaJson
  if (kind === 'array') return { kind, schema, segments }
  const map = record(source['map'], 'map')
  const { keys, bits } = map
  if ((keys !== 'number' && keys !== 'exact' && keys !== 'approximate') || (bits !== 32 && bits !== 64)) {
    return damaged(path, 'the form of its keys')
  }
  const form: Omit<MapEntry, 'rows'> = {
    keys,
    bits,
    multi: map['multi'] === true,
    inline: map['inline'] === true,
    wide: map['wide'] === true,
  }
  const words = bits / 32 + 1 + (form.wide ? 1 : 0)
  const rows = array(map['rows'], 'rows').map((raw): RowsEntry => {
    const entry = extent(record(raw, 'rows'))
    if (entry.at % 4 !== 0 || entry.count * words * 4 > entry.bytes || entry.count === 0) damaged(path, 'its rows')
    return entry
  })
  if (form.inline && (form.wide || form.keys === 'exact')) damaged(path, 'the form of its rows')
  return { kind, schema, segments, map: { ...form, rows } }
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return damaged(path, 'its text')
  }
}

function damaged(path: string, what: string): never {
  throw new BufferError('BUFFER_CORRUPT', `the directory of ${path} is damaged: ${what}`)
}
