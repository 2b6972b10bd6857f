// The public face of triggers: pipelines that were registered. What keeps and runs them is in src/triggers.
import type { ErrorCode } from '../errors.ts'

/** What happens to an event whose function threw; the other events of its batch go on. */
export interface FailurePolicy {
  /** How often it is tried again. Default 3. */
  readonly retries?: number
  /** Before the first retry, in milliseconds; doubled for each further one, to an hour at most. Default 200. */
  readonly backoffMs?: number
  /**
   * What follows the last retry. `deadLetter`: the event is put aside and can be replayed. `stop`: the trigger stops, says why, and
   * tries the event again when it is resumed. Default 'deadLetter'.
   */
  readonly then?: 'deadLetter' | 'stop'
}

export interface RegisterOptions {
  /** Letters, digits and `_ . : -`, 128 at most. A trigger of that name is replaced, at the end of a batch. */
  readonly name: string
  /** A lower one never replaces a higher one. Default 0. */
  readonly version?: number
  /** Events that are processed and committed together, at most. Default 100. */
  readonly batch?: number
  /** How long an incomplete batch waits for more, in milliseconds. Default 0: it does not. */
  readonly maxWaitMs?: number
  /**
   * true: the events of one stream are processed one batch after the other, in their order (an event that is tried again
   * comes later). false: `concurrency` executors compete for them. Default true.
   */
  readonly ordered?: boolean
  /** In how many places it runs at a time; with `ordered`, a stream belongs to one of them. Default 1. */
  readonly concurrency?: number
  /** What a stream held before: 'start' (everything), 'new' (nothing), or the id after which to begin. Default 'start'. */
  readonly from?: string
  readonly onFailure?: FailurePolicy
  /** 'processed': what every group of the stream has processed is removed from it. Default 'all'. */
  readonly retain?: 'all' | 'processed'
  /** Time limit of a batch, in milliseconds; 0: none. Default: configuration, 300,000. */
  readonly timeoutMs?: number
}

export type TriggerKind = 'stream' | 'keys' | 'command' | 'schedule'
export type TriggerState = 'running' | 'paused' | 'stopped'

export interface TriggerError {
  readonly code: ErrorCode
  readonly message: string
  readonly stack?: string
}

export interface TriggerStatus {
  readonly name: string
  readonly kind: TriggerKind
  readonly version: number
  readonly state: TriggerState
  /** Why it stopped by itself. */
  readonly reason: TriggerError | undefined
  /** Events whose first attempt was committed. */
  readonly events: number
  /** Events that succeeded, retried ones included. */
  readonly successes: number
  /** Events that became dead letters. */
  readonly failures: number
  /** Attempts beyond the first ones. */
  readonly retries: number
  /** Events that wait for a retry. */
  readonly retrying: number
  readonly deadLetters: number
  /** Entries that are not yet processed, and the age of the oldest of them in milliseconds. */
  readonly lag: { readonly entries: number; readonly ms: number }
  /** From the entry's time to the commit, of the latest events, in milliseconds. */
  readonly latency: { readonly p50: number; readonly p99: number }
  /** Of an event, or what keeps the trigger from running. */
  readonly lastError: TriggerError | undefined
  /** The workers that run it now, one for each of its places. */
  readonly owner: readonly string[]
}

/** An event that was given up. */
export interface DeadLetter {
  /** The stream entry's id. */
  readonly id: string
  /** The stream it came from. */
  readonly key: string
  readonly error: TriggerError
  /**
   * Name and value of each field of the entry; of a key event its properties, the change as one text. Undefined where only
   * commands are left to do.
   */
  readonly entry: readonly (readonly [field: string, value: string])[] | undefined
  /** The commands that were not applied, of an event whose function succeeded. */
  readonly commands: readonly (readonly string[])[] | undefined
  /** How often it was tried. */
  readonly attempts: number
  /** When it was given up, in milliseconds since the epoch. */
  readonly at: number
}

/** A registered pipeline, by its name: the same for every client. */
export interface Trigger {
  readonly name: string
  /** Throws TRIGGER_UNKNOWN where it was removed. */
  status(): Promise<TriggerStatus>
  /** Takes nothing new. Resolves when no event is being processed; events go on arriving and wait. */
  pause(): Promise<void>
  /** Goes on after pause(), or after the policy stopped it. */
  resume(): Promise<void>
  /** Stops it and removes all it kept, its groups on streams included. */
  remove(): Promise<void>
  deadLetters(): Promise<DeadLetter[]>
  /** Tries every dead letter again: events from the start, with the function of now; of others the commands that were not applied. Returns how many. */
  replay(): Promise<number>
}
