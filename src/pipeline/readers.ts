// The readers: where pipelines begin.
import { resolve } from 'node:path'
import { pipelineOf } from './builder.ts'
import type { ReaderCall, ReaderDefinition } from './define.ts'
import { checkFunction, checkInteger, checkOneOf, checkOptions, checkString, refuse } from './options.ts'
import type { Pipeline } from './pipeline.ts'
import { keyEvents, schedule, type KeyEvent, type ScheduleOptions, type Tick } from './readers/events.ts'
import { files } from './readers/files.ts'
import { from } from './readers/from.ts'
import { generate } from './readers/generate.ts'
import { keys } from './readers/keys.ts'
import { type ShardInfo, shards } from './readers/shards.ts'
import { stream } from './readers/stream.ts'
import type { FileFormat, FilesOptions } from './readers/text/format.ts'
import { type ValueType, valueTypes } from './readers/values.ts'
import type { Launcher } from './run.ts'
import { keyEventNames } from './readers/event-names.ts'
import { callSite } from './site.ts'
import { checkCron, durationOf } from './times.ts'

export interface FileOptions {
  /** Default 'lines'. */
  readonly format?: FileFormat
  /** csv: one column instead of an object per row; a name of the header, or an index from 0. */
  readonly column?: string | number
  /** csv: one ASCII character. Default ','. */
  readonly delimiter?: string
  /** csv: one ASCII character, or '' where nothing is quoted. Default '"'. */
  readonly quote?: string
  /** csv: whether the first row has the names of the columns. Default true; the names are '0', '1', ... without. */
  readonly header?: boolean
  /** A label of the encoding standard. Default 'utf-8'. */
  readonly encoding?: string
  /**
   * About how many bytes one task reads. Default a 24th of the input, from 1 to 64 MiB; an 8th, from 8 to 128 MiB, where one
   * column is split into words and counted, with no function in between.
   */
  readonly splitBytes?: number
  /** Bytes that are not valid fail their record (PLAN_ENCODING) instead of becoming U+FFFD. Default false. */
  readonly fatal?: boolean
}

export interface FileBytes {
  readonly path: string
  readonly bytes: Uint8Array
}

/** What `files` gives for its options. */
export type FileRecord<O> = O extends { readonly format: 'bytes' }
  ? FileBytes
  : O extends { readonly format: 'jsonl' }
    ? unknown
    : O extends { readonly format: 'csv'; readonly column: string | number }
      ? string
      : O extends { readonly format: 'csv' }
        ? Record<string, string>
        : string

export interface KeyOptions {
  /** Only keys of this type; the values have its TypeScript type then. */
  readonly type?: ValueType
  /** Whether values are read; without, records are key names. Default true. */
  readonly values?: boolean
  /** Keys and values as Uint8Array. Default: text, and PLAN_ENCODING for what is not UTF-8. */
  readonly binary?: boolean
}

export interface StreamEntry<Text> {
  readonly id: string
  readonly value: Readonly<Record<string, Text>>
}

export interface ScoredMember<Text> {
  readonly member: Text
  readonly score: number
}

interface ValuesOfTypes<Text> {
  string: Text
  hash: Readonly<Record<string, Text>>
  list: readonly Text[]
  set: readonly Text[]
  zset: readonly ScoredMember<Text>[]
  stream: readonly StreamEntry<Text>[]
}

type OneKey<Text, K extends ValueType> = {
  [T in K]: { readonly key: Text; readonly type: T; readonly value: ValuesOfTypes<Text>[T] }
}[K]

type TextOf<O> = O extends { readonly binary: true } ? Uint8Array : string
type TypesOf<O> = O extends { readonly type: infer K extends ValueType } ? K : ValueType

/** What `keys` gives for its options. */
export type KeyRecord<O> = O extends { readonly values: false } ? TextOf<O> : OneKey<TextOf<O>, TypesOf<O>>

export interface StreamOptions {
  /** First and last id. Default all: '-' and '+'. For run(); register() has options of its own. */
  readonly from?: string
  readonly to?: string
  /** Values as pairs of field and value, so that a field may occur twice. Default false. */
  readonly raw?: boolean
  /** Values as Uint8Array. Default: text, and PLAN_ENCODING for what is not UTF-8. */
  readonly binary?: boolean
}

/** What `stream` gives for its options. */
export interface StreamRecord<O> {
  readonly key: string
  readonly id: string
  readonly value: O extends { readonly raw: true }
    ? readonly (readonly [field: string, value: TextOf<O>])[]
    : Readonly<Record<string, TextOf<O>>>
}

export interface KeyEventsReaderOptions {
  readonly events?: readonly string[]
  readonly types?: readonly ValueType[]
  readonly db?: number
  /** Default 'auto'. */
  readonly source?: 'auto' | 'replication' | 'notifications'
  /** Default false. */
  readonly rescan?: boolean
  /** Default false. */
  readonly includeOwn?: boolean
}

export class Readers {
  readonly #launcher: Launcher

  constructor(launcher: Launcher) {
    this.#launcher = launcher
  }

  /**
   * Keys that match a pattern (as SCAN has it), with their values. In no order; a key that is there throughout is read once.
   * @throws PlanError PLAN_OPTION
   */
  keys<const O extends KeyOptions = object>(pattern = '*', options?: O): Pipeline<KeyRecord<O>> {
    const given: KeyOptions = options ?? {}
    checkString('keys', pattern, 'the pattern to be a string')
    checkOptions('keys', given, ['type', 'values', 'binary'])
    if (given.type !== undefined) checkOneOf('keys', 'type', given.type, valueTypes)
    for (const name of ['values', 'binary'] as const) checkBoolean('keys', name, given[name])
    const { type, values = true, binary = false } = given
    return this.#read(keys, { pattern, values, binary, ...(type === undefined ? {} : { type }) })
  }

  /**
   * Entries of a stream, or of all streams that match a pattern, in the order of their ids. register() makes it a trigger.
   * @throws PlanError PLAN_OPTION; at run PLAN_KEY_TYPE
   */
  stream<const O extends StreamOptions = object>(pattern: string, options?: O): Pipeline<StreamRecord<O>> {
    const given: StreamOptions = options ?? {}
    checkString('stream', pattern, 'a key or a pattern')
    checkOptions('stream', given, ['from', 'to', 'raw', 'binary'])
    for (const name of ['raw', 'binary'] as const) checkBoolean('stream', name, given[name])
    const { from = '-', to = '+', raw = false, binary = false } = given
    const id = /^([-+]|\(?\d{1,20}(-\d{1,20})?)$/
    if (typeof from !== 'string' || !id.test(from)) refuse('stream', 'from to be the id of an entry', from)
    if (typeof to !== 'string' || !id.test(to)) refuse('stream', 'to to be the id of an entry', to)
    return this.#read(stream, { pattern, from, to, raw, binary })
  }

  /**
   * What happens to the keys that match a pattern (as KEYS has it). For register() only.
   * @param options events: names as keyspace notifications have them; types: of the keys; db: default all; source: 'replication'
   * follows the primary as a replica does and loses nothing, 'notifications' loses what happens while nobody listens, 'auto'
   * takes the second where the first is refused; rescan: after a gap every key that matches comes as `rescan`; includeOwn:
   * also what the trigger's own effects change
   * @throws PlanError PLAN_OPTION
   */
  keyEvents(pattern = '*', options: KeyEventsReaderOptions = {}): Pipeline<KeyEvent> {
    checkString('keyEvents', pattern, 'the pattern to be a string')
    checkOptions('keyEvents', options, ['events', 'types', 'db', 'source', 'rescan', 'includeOwn'])
    const { events, types, db, source = 'auto', rescan = false, includeOwn = false } = options
    for (const [name, value] of Object.entries({ events, types })) {
      const isList = Array.isArray(value) && value.length > 0
      if (value !== undefined && !isList) refuse('keyEvents', `${name} to be a list with at least one name`, value)
    }
    for (const event of events ?? []) {
      if (!keyEventNames.has(event)) refuse('keyEvents', `events among ${[...keyEventNames].join(', ')}`, event)
    }
    for (const type of types ?? []) checkOneOf('keyEvents', 'types', type, valueTypes)
    if (db !== undefined) checkInteger('keyEvents', db, 0, 'db to be a whole number of at least 0')
    checkOneOf('keyEvents', 'source', source, ['auto', 'replication', 'notifications'])
    for (const [name, value] of Object.entries({ rescan, includeOwn })) checkBoolean('keyEvents', name, value)
    return this.#read(keyEvents, {
      pattern,
      source,
      rescan,
      includeOwn,
      ...(events === undefined ? {} : { events: [...events] }),
      ...(types === undefined ? {} : { types: [...types] }),
      ...(db === undefined ? {} : { db }),
    })
  }

  /**
   * Ticks: `every` so often ('30s', '5m', '2h', '1d', or milliseconds), or by a `cron` expression (with seconds if it has six
   * fields; in the worker's time zone). Each once, whatever the number of workers. For register() only.
   * @param options missed: what becomes of ticks while no worker ran. Default 'skip'; 'once': one for all of them
   * @throws PlanError PLAN_OPTION
   */
  schedule(options: {
    readonly every?: string | number
    readonly cron?: string
    readonly missed?: 'skip' | 'once'
  }): Pipeline<Tick> {
    checkOptions('schedule', options, ['every', 'cron', 'missed'])
    const { every, cron, missed = 'skip' } = options
    checkOneOf('schedule', 'missed', missed, ['skip', 'once'])
    if ((every === undefined) === (cron === undefined)) refuse('schedule', 'one of every and cron', options)
    const given: ScheduleOptions = {
      missed,
      ...(cron === undefined ? {} : { cron: checkCron(cron) }),
      ...(every === undefined ? {} : { every: durationOf('schedule', 'every', every, 1) }),
    }
    return this.#read(schedule, given)
  }

  /**
   * Lines, rows, JSON values or bytes of files. Relative paths are resolved now; globs and sizes are looked up at run(). What
   * a glob with `!` in front matches is left out.
   * @throws PlanError PLAN_OPTION; at run PLAN_FILE, PLAN_NO_MATCH, PLAN_COLUMN; per record PLAN_CSV, PLAN_JSON, PLAN_ENCODING
   */
  files<const O extends FileOptions = object>(globs: string | readonly string[], options?: O): Pipeline<FileRecord<O>> {
    const patterns = typeof globs === 'string' ? [globs] : globs
    if (!Array.isArray(patterns) || patterns.length === 0) refuse('files', 'a path, a glob or a list of them', globs)
    for (const pattern of patterns) {
      checkString('files', pattern, 'a path, a glob or a list of them')
      if (pattern === '' || pattern === '!') refuse('files', 'a path or a glob that is not empty', globs)
    }
    const wanted = patterns.filter((pattern) => !pattern.startsWith('!'))
    const excluded = patterns.filter((pattern) => pattern.startsWith('!')).map((pattern) => resolve(pattern.slice(1)))
    if (wanted.length === 0) refuse('files', 'a path or a glob beside what is left out by !', globs)
    const checked = checkFiles(options ?? {})
    return this.#read(files, { ...checked, patterns: wanted.map((pattern) => resolve(pattern)), excluded })
  }

  /**
   * The items of an iterable, in order. They are sent when the pipeline is run; an iterator can be run once only.
   * @throws PlanError PLAN_OPTION; at run PLAN_RECORD for an item that cannot travel
   */
  from<T>(items: Iterable<T> | AsyncIterable<T>, options: { readonly partitions?: number } = {}): Pipeline<T> {
    if (typeof items !== 'object' || items === null || !(Symbol.iterator in items || Symbol.asyncIterator in items)) {
      refuse('from', 'an iterable or async iterable', items)
    }
    checkOptions('from', options, ['partitions'])
    if (options.partitions !== undefined) {
      checkInteger('from', options.partitions, 1, 'partitions to be a whole number of at least 1')
    }
    return this.#read(from, { ...options }, items)
  }

  /**
   * What a function yields; it runs once for each shard, in an executor, no faster than its items are taken. Where it throws,
   * what came before counts; a task that is tried again calls it again.
   * @throws PlanError PLAN_OPTION; per record PLAN_OPTION where the function gives nothing that can be iterated
   */
  generate<T>(
    f: (shard: ShardInfo) => Iterable<T> | AsyncIterable<T> | PromiseLike<Iterable<T> | AsyncIterable<T>>,
  ): Pipeline<T> {
    checkFunction('generate', f, 'a function that gives an iterable or async iterable')
    return this.#read(generate, {}, undefined, [f])
  }

  /** One record for each shard: `{ id, host, port }`. */
  shards(): Pipeline<ShardInfo> {
    return this.#read(shards, {})
  }

  /**
   * The records of a reader made with defineReader().
   * @throws PlanError PLAN_OPTION
   */
  read<T>(reader: ReaderCall<T>): Pipeline<T> {
    const kind = (reader as Partial<ReaderCall<T>> | undefined)?.definition?.kind
    if (kind !== 'reader') refuse('read', 'a reader made with defineReader()', reader)
    return pipelineOf<T>(reader, this.#launcher)
  }

  #read<T>(
    definition: ReaderDefinition,
    options: unknown,
    source?: unknown,
    functions: readonly unknown[] = [],
  ): Pipeline<T> {
    const call: ReaderCall = { definition, name: definition.name, options, functions, site: callSite(), source }
    return pipelineOf<T>(call, this.#launcher)
  }
}

function checkBoolean(call: string, name: string, value: unknown): void {
  if (value !== undefined && typeof value !== 'boolean') refuse(call, `${name} to be true or false`, value)
}

const formats = ['lines', 'csv', 'jsonl', 'bytes'] as const
const csvOnly = ['column', 'delimiter', 'quote', 'header'] as const
const fileOptionNames = ['format', ...csvOnly, 'encoding', 'splitBytes', 'fatal']

function checkFiles(options: FileOptions): Omit<FilesOptions, 'patterns' | 'excluded'> {
  checkOptions('files', options, fileOptionNames)
  const { format = 'lines', column, delimiter = ',', quote = '"', header = true, encoding = 'utf-8' } = options
  checkOneOf('files', 'format', format, formats)
  for (const name of csvOnly) {
    if (options[name] !== undefined && format !== 'csv') refuse('files', `${name} beside format: 'csv'`, options)
  }
  if (typeof column === 'number') checkInteger('files', column, 0, 'column to be a name or an index of at least 0')
  else if (column !== undefined) checkString('files', column, 'column to be a name or an index of at least 0')
  if (typeof column === 'string' && !header) refuse('files', 'column to be an index where there is no header', column)
  if (typeof delimiter !== 'string' || !/^[\t -~]$/.test(delimiter))
    refuse('files', 'delimiter to be one ASCII character', delimiter)
  if (typeof quote !== 'string' || !/^[!-~]?$/.test(quote))
    refuse('files', `quote to be one ASCII character or ''`, quote)
  if (quote === delimiter) refuse('files', 'quote and delimiter to differ', quote)
  checkBoolean('files', 'header', header)
  checkBoolean('files', 'fatal', options.fatal)
  checkEncoding(encoding)
  const { splitBytes, fatal = false } = options
  if (splitBytes !== undefined) checkInteger('files', splitBytes, 1, 'splitBytes to be a whole number of at least 1')
  return {
    format,
    delimiter,
    quote,
    header,
    encoding,
    fatal,
    ...(column === undefined ? {} : { column }),
    ...(splitBytes === undefined ? {} : { splitBytes }),
  }
}

function checkEncoding(label: unknown): void {
  checkString('files', label, 'encoding to be a label of the encoding standard')
  try {
    return void new TextDecoder(label as string)
  } catch {
    refuse('files', 'encoding to be a label of the encoding standard, such as utf-8 or latin1', label)
  }
}
