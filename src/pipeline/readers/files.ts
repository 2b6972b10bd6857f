// files(globs, options): lines, CSV rows, JSON lines or whole files. Large files are split inside: a split owns the lines
// (rows) that start in it. Small files share a split.
import { access, constants, readFile } from 'node:fs/promises'
import { PlanError } from '../../errors.ts'
import { type ReadBatch, type RunContext, type SplitContext, type Splits, defineReader } from '../define.ts'
import { columnBatches, kernelColumn } from './text/columns.ts'
import { RowParser, isEmptyLine } from './text/csv.ts'
import { linesIn, longestLine } from './text/lines.ts'
import { type FileEntry, type FilesOptions, type Part, dialectOf } from './text/format.ts'
import { type FoundFile, matchFiles, reasonOf } from './text/match.ts'
import { rowStarts } from './text/quotes.ts'
import { csvBatches } from './text/rows.ts'
import { Encoding, TextSource } from './text/source.ts'

interface FilesData {
  readonly files: readonly FileEntry[]
  readonly splits: readonly (readonly Part[])[]
}

/** How an input is divided: a split takes about a second at most. */
interface Sizes {
  readonly least: number
  readonly largest: number
  /** Of an input of any size in between. */
  readonly splits: number
}

const mebibyte = 1024 * 1024
const recordSizes: Sizes = { least: mebibyte, largest: 64 * mebibyte, splits: 24 }
/** For the text kernel. Each split has its own words in the shuffle: the fewer, the better. */
const textSizes: Sizes = { least: 8 * mebibyte, largest: 128 * mebibyte, splits: 8 }
const recordsTogether = 1000
// For the guess how many records there are: few are shorter.
const bytesOfRecord = 16
// Opened at a time.
const filesTogether = 32

export const files = defineReader({
  name: 'files',
  describe: ({ patterns, format, column }: FilesOptions) => {
    const names = patterns.map((pattern) => pattern.slice(pattern.lastIndexOf('/') + 1)).join(', ')
    return `files(${names}, ${format}${column === undefined ? '' : `, column ${JSON.stringify(column)}`})`
  },
  splits: splitsOf,
  async *read(options, { index, data }, context) {
    const { files: entries, splits } = data as FilesData
    for (const [file, from, to] of splits[index] ?? []) {
      const entry = entries[file] as FileEntry
      try {
        yield* readPart(options, entry, from, to, context)
      } catch (error) {
        if (!isFileError(error)) throw error
        context.fail(new PlanError('PLAN_FILE', `cannot read ${entry.path}: ${reasonOf(error)}`, { cause: error }))
      }
    }
  },
})

function isFileError(error: unknown): boolean {
  return error instanceof Error && 'syscall' in error
}

async function splitsOf(options: FilesOptions, context: SplitContext): Promise<Splits> {
  const found = await matchFiles(options.patterns, options.excluded)
  const encoding = new Encoding(options.encoding, false)
  const total = found.reduce((sum, { size }) => sum + size, 0)
  const { least, largest, splits: wanted } = context.asText && options.column !== undefined ? textSizes : recordSizes
  const bytes = options.splitBytes ?? Math.max(least, Math.min(largest, Math.ceil(total / wanted)))
  // A file a little larger is not cut in two for that.
  const slack = options.splitBytes === undefined ? 0.25 : 0
  const canSplit = options.format !== 'bytes' && encoding.splittable

  const entries: FileEntry[] = []
  const splits: Part[][] = []
  let room = 0
  const put = (file: number, from: number, to: number, size: number): void => {
    if (splits.length === 0 || size > room) {
      splits.push([])
      room = bytes
    }
    ;(splits.at(-1) as Part[]).push([file, from, to])
    room -= size
  }
  for (let i = 0; i < found.length; i += filesTogether) {
    const part = found.slice(i, i + filesTogether)
    entries.push(...(await Promise.all(part.map((file) => describeFile(file, options, encoding)))))
  }
  for (const [index, file] of entries.entries()) {
    const count = canSplit ? Math.max(1, Math.ceil(file.size / bytes - slack)) : 1
    const borders = Array.from({ length: count - 1 }, (_, i) => Math.ceil(((i + 1) * file.size) / count))
    const starts =
      options.format === 'csv' && !context.dry
        ? await rowStarts(file.path, file.first, file.size, borders, dialectOf(options))
        : borders
    const ends = [...starts, canSplit ? file.size : Infinity]
    let from = file.first
    for (const end of ends) {
      const to = Math.max(from, end)
      put(index, from, to, file.size / count)
      from = to
    }
  }
  const size = entries.reduce((sum, entry) => sum + entry.size, 0)
  const records = options.format === 'bytes' ? entries.length : Math.ceil(size / bytesOfRecord)
  return { count: splits.length, data: { files: entries, splits } satisfies FilesData, records }
}

/** Opens a file to see that it can be read, and reads the header of a CSV file. */
async function describeFile(file: FoundFile, options: FilesOptions, encoding: Encoding): Promise<FileEntry> {
  const { path, size } = file
  try {
    await access(path, constants.R_OK)
    const source = new TextSource(path, encoding)
    const start = options.format === 'bytes' ? 0 : await source.start()
    if (options.format !== 'csv') return { path, size, first: start }
    const { columns, end } = await firstRow(source, start, options)
    return { path, size, first: options.header ? end : start, columns: checkedColumns(path, columns, options) }
  } catch (cause) {
    if (!isFileError(cause)) throw cause
    throw new PlanError('PLAN_FILE', `cannot read the file ${path}: ${reasonOf(cause)}`, { cause })
  }
}

async function firstRow(
  source: TextSource,
  start: number,
  options: FilesOptions,
): Promise<{ columns: string[]; end: number }> {
  const parser = new RowParser(dialectOf(options))
  const decode = source.encoding.decoder()
  const { quote } = options
  const take = (bytes: Buffer): string[] => {
    const names: string[] = []
    for (let i = 0; i < parser.bounds.length; i += 3) {
      const text = decode(bytes, parser.bounds[i] as number, parser.bounds[i + 1] as number)
      names.push(parser.bounds[i + 2] === 1 ? text.replaceAll(quote + quote, quote) : text)
    }
    return options.header ? names : names.map((_, i) => String(i))
  }
  let bytes: Buffer = Buffer.alloc(0)
  // Where the row that is looked for starts in `bytes`: behind empty lines.
  let at = 0
  for await (const chunk of source.chunks(start)) {
    bytes = Buffer.concat([bytes, chunk])
    for (;;) {
      const end = parser.parse(bytes, at, bytes.length, false)
      if (end < 0) break
      if (!isEmptyLine(bytes, at, end)) return { columns: take(bytes), end: start + end }
      at = end
    }
  }
  if (at === bytes.length) return { columns: [], end: start + at }
  parser.parse(bytes, at, bytes.length, true)
  return { columns: take(bytes), end: start + bytes.length }
}

function checkedColumns(path: string, columns: string[], { column, header }: FilesOptions): string[] {
  // An empty file has no columns, and no rows that miss one.
  if (columns.length === 0 || column === undefined) return columns
  const known = typeof column === 'number' ? column < columns.length : columns.includes(column)
  if (known) return columns
  const have = header ? columns.map((name) => JSON.stringify(name)).join(', ') : `${columns.length} without names`
  throw new PlanError('PLAN_COLUMN', `${path} has no column ${JSON.stringify(column)}; it has ${have}`)
}

function readPart(
  options: FilesOptions,
  entry: FileEntry,
  from: number,
  to: number,
  context: RunContext,
): AsyncIterable<ReadBatch> {
  if (options.format === 'bytes') return wholeFile(entry)
  const source = new TextSource(entry.path, new Encoding(options.encoding, options.fatal))
  if (options.format === 'csv') {
    const column = kernelColumn(source, entry, options)
    return column === undefined
      ? csvBatches(source, entry, from, to, options, context)
      : columnBatches(source, entry, from, to, options, context, column)
  }
  return lineBatches(source, entry, from, to, options.format, context)
}

async function* wholeFile({ path }: FileEntry): AsyncGenerator<ReadBatch> {
  const bytes = new Uint8Array(await readFile(path))
  yield { batch: { kind: 'records', records: [{ path, bytes }] }, place: () => path }
}

async function* lineBatches(
  source: TextSource,
  entry: FileEntry,
  from: number,
  to: number,
  format: 'lines' | 'jsonl',
  context: RunContext,
): AsyncGenerator<ReadBatch> {
  const { first } = entry
  const decode = source.encoding.decoder()
  const chunks = source.chunks(from > first ? from - 1 : from)
  for await (const { bytes, bounds, offsets, tooLong } of linesIn(chunks, first, from, to)) {
    for (let start = 0; start < offsets.length; start += recordsTogether) {
      const end = Math.min(offsets.length, start + recordsTogether)
      const records: unknown[] = []
      const places: number[] = []
      for (let i = start; i < end; i++) {
        const place = offsets[i] as number
        try {
          const text = decode(bytes, bounds[2 * i] as number, bounds[2 * i + 1] as number)
          if (format === 'lines') records.push(text)
          else if (text.trim() !== '') records.push(await parsed(text, source, place))
          else continue
          places.push(place)
        } catch (error) {
          context.fail(error, bytes.toString('latin1', bounds[2 * i], bounds[2 * i + 1]), await source.place(place))
        }
      }
      yield { batch: { kind: 'records', records }, place: (i) => source.place(places[i] as number) }
    }
    if (tooLong !== undefined) {
      const place = await source.place(tooLong)
      context.fail(
        new PlanError('PLAN_RECORD', `${place}: the line is longer than ${longestLine} bytes`),
        undefined,
        place,
      )
    }
  }
}

/** Throws PLAN_JSON with file and line. */
async function parsed(text: string, source: TextSource, place: number): Promise<unknown> {
  try {
    return JSON.parse(text) as unknown
  } catch (cause) {
    throw new PlanError('PLAN_JSON', `${await source.place(place)}: ${reasonOf(cause)}`, { cause })
  }
}
