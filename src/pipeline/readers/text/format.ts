// What the parts of the files reader know of the input: options as they travel, files, parts of files.
import type { Dialect } from './quotes.ts'

export type FileFormat = 'lines' | 'csv' | 'jsonl' | 'bytes'

/** Options of the reader as they travel: all of them set. */
export interface FilesOptions {
  /** Absolute. */
  readonly patterns: readonly string[]
  /** Absolute; what they match is left out. */
  readonly excluded?: readonly string[] | undefined
  readonly format: FileFormat
  readonly column?: string | number | undefined
  readonly delimiter: string
  readonly quote: string
  readonly header: boolean
  readonly encoding: string
  readonly splitBytes?: number | undefined
  readonly fatal: boolean
}

/** What executors know of a file. */
export interface FileEntry {
  readonly path: string
  /** Where the first record starts: behind byte order mark and header. */
  readonly first: number
  readonly size: number
  /** CSV: names of the columns (indexes where there is no header). */
  readonly columns?: readonly string[]
}

/** A part of a file: the lines that start in [from, to), or the rows that lie in it. */
export type Part = readonly [file: number, from: number, to: number]

export function dialectOf({ delimiter, quote }: FilesOptions): Dialect {
  return { delimiter: delimiter.charCodeAt(0), quote: quote === '' ? -1 : quote.charCodeAt(0) }
}
