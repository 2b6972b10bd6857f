// What a kind of trigger is to its seats: which streams it reads, and what events an entry holds.
import type { KeyEventsOptions } from '../../pipeline/readers/events.ts'
import type { Reply } from '../../redis/deployment.ts'

/** The streams of a trigger: one that is made where it is missing, or all of a pattern that there are. */
export type StreamsOf = { readonly key: string } | { readonly pattern: string }

export interface EventSource {
  readonly streams: StreamsOf
  /** Entries are Gearmill's own: processed, they are removed. */
  readonly deletes: boolean
  /** Replies are read as bytes. */
  readonly binary: boolean
  /** The events of an entry, as they are kept where they have to wait. Default: one, the fields. */
  readonly open?: (fields: readonly Reply[]) => readonly unknown[]
  /** An event whose fields may not be what they are as text: as bytes; undefined: they are. */
  readonly reread?: (stream: string, id: string, fields: readonly Reply[]) => Promise<readonly Reply[]> | undefined
  /** What functions get of an event. Throws what fails it. */
  record(stream: string, id: string, event: unknown): unknown
  /** Reads what records still lack. */
  readonly prepare?: (records: readonly unknown[]) => Promise<void>
}

/** As stored with the trigger. */
export type SourceDescription =
  | { readonly kind: 'stream'; readonly pattern: string; readonly raw: boolean; readonly binary: boolean }
  | { readonly kind: 'command' }
  | ({ readonly kind: 'keys' } & KeyEventsOptions)
  | {
      readonly kind: 'schedule'
      /** Milliseconds. */
      readonly every?: number
      readonly cron?: string
      readonly missed: 'skip' | 'once'
    }
