// What a trigger service and its host processes say to each other, and what they both know of a trigger.
import type { FromExecutor } from '../engine/protocol.ts'
import type { Failure } from '../engine/runner.ts'

/** As whose processes hosts are reported, beside the worker's executors. */
export const realmWorker = (worker: string): string => `${worker}.triggers`

export interface HostSetup {
  readonly type: 'setup'
  readonly url: string
  readonly namespace: string
  readonly worker: string
  /** Module that makes what shipped functions know by name; see the engine's Modules. */
  readonly known?: string
  readonly scratch: string
  readonly base: string
  readonly secret?: string
  /** URLs of further servers by name. */
  readonly stores?: Readonly<Record<string, string>>
  /** Rows and columns of a block where nothing else is said: see `matrix.blockSize` of the configuration. */
  readonly matrixBlockSize?: number
}

/** The records that ran when a host died: one of them may be the reason. */
export interface Suspects {
  /** As placeName() has it. */
  readonly stream: string
  readonly mode: 'new' | 'again'
  /** Of new events: the first and the last entry. */
  readonly first: string
  readonly last: string
}

/** A record that was found to end its process. */
export interface Culprit {
  /** As placeName() has it. */
  readonly field: string
  readonly failure: Failure
}

export interface SeatOrder {
  readonly name: string
  readonly seat: number
  readonly fence: string
  readonly revision: string
  /** These run one by one. */
  readonly suspects: readonly Suspects[]
  /** These do not run: they are dead letters. */
  readonly culprits: readonly Culprit[]
}

export type ToHost =
  | HostSetup
  | { readonly type: 'start'; readonly id: string; readonly order: SeatOrder }
  | { readonly type: 'stop'; readonly id: string }
  /** Look for retries, outboxes and new streams of a trigger. */
  | { readonly type: 'poke'; readonly name: string }
  /** Nobody keeps a realm any more. */
  | { readonly type: 'unload'; readonly realm: string }
  | { readonly type: 'close' }

export type FromHost =
  | { readonly type: 'ready' }
  /** A seat ended: it was told to, or it cannot go on (`failure`), or it lost its fence. */
  | { readonly type: 'ended'; readonly id: string; readonly failure?: Failure }
  /** What became of records that were found to end their process is committed. */
  | { readonly type: 'settled'; readonly id: string; readonly fields: readonly string[] }
  /** The policy of a trigger says that it is to stop. */
  | { readonly type: 'halt'; readonly name: string; readonly revision: string; readonly failure: Failure }
  | Extract<FromExecutor, { readonly type: 'log' }>

/** What runs in a host now, as its supervisor reads it from the position file: a line of JSON for each seat. */
export interface Running {
  readonly id: string
  /** None: the seat is being loaded. */
  readonly suspects?: Suspects
  /** Name of the event as placeName() has it, where it runs alone. */
  readonly alone?: string
  /** Milliseconds since the epoch. */
  readonly since: number
  readonly timeoutMs: number
}
