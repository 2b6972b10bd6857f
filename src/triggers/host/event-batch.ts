// Events that are processed together, and how they are written down when they have to wait.
import { Packr } from 'msgpackr/pack'
import type { Failure } from '../../engine/runner.ts'
import type { HomeKeys } from '../keys.ts'

/** What is kept of an event that is tried again, or was given up. */
export interface KeptEvent {
  /** The event as its source hands it out: fields of an entry, a key event. */
  readonly event: unknown
  readonly code?: string
  readonly message?: string
  readonly stack?: string
}

export interface EventBatch {
  readonly stream: string
  readonly home: HomeKeys
  /** `again`: these were tried before and lie in the retries. */
  readonly mode: 'new' | 'again'
  /** These waited for the end of their window, and nothing else. */
  readonly closes?: boolean
  /** When an event comes that is to be tried again in so many milliseconds, as the commit takes it. Default: then. */
  readonly comesAgain?: (delayMs: number) => string
  /** What acknowledges each event: the entry's id, or the retry's field. Events of one entry follow each other. */
  readonly ids: readonly string[]
  /** What the functions get. */
  readonly records: readonly unknown[]
  /** Why some of the records could not be read, by their position. */
  readonly unreadable?: ReadonlyMap<number, Failure> | undefined
  /** Name of event `i` among retries and dead letters. */
  field(i: number): string
  /** Event `i` as it came, for keeping. */
  kept(i: number): unknown
  /** How often event `i` was tried before. */
  attempts(i: number): number
}

const packr = new Packr({ useRecords: false, moreTypes: false })

export function packPlain(value: unknown): Buffer {
  return packr.pack(value)
}

export function unpackPlain(bytes: Uint8Array): unknown {
  return packr.unpack(bytes)
}

/** Milliseconds since the epoch at which a stream entry was added. */
export function timeOf(id: string): number {
  return Number(id.slice(0, id.indexOf('-')))
}
