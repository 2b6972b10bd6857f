// What a kernel service and its host processes say to each other.
import type { FromExecutor } from '../engine/protocol.ts'

export interface HostSetup {
  readonly type: 'setup'
  readonly url: string
  readonly namespace: string
  /** Name of the host: of its strands, and of its lease. */
  readonly host: string
  readonly leaseMs: number
  /** Hosts that its worker may have: what is ready is shared by so many, at least. */
  readonly hosts: number
  /** How long an ended chain is kept, in milliseconds. */
  readonly keepMs: number
  readonly scratch: string
  /** File URL of where trusted kernels import packages from. */
  readonly base: string
  readonly secret?: string
}

export type ToHost =
  | HostSetup
  /** Something is ready in a lane. */
  | { readonly type: 'look'; readonly lane: string }
  | { readonly type: 'close' }

export type FromHost =
  | { readonly type: 'ready' }
  /** What it found: so many are left in the queue, and it has room for so many. */
  | {
      readonly type: 'took'
      readonly lane: string
      readonly left: number
      readonly room: number
      readonly held: number
    }
  /** It has put something aside that is due in so many milliseconds, or waits for a key. */
  | { readonly type: 'due'; readonly lane: string; readonly inMs: number }
  /** Something that it cannot end hangs in it: it takes no more, and ends when it is idle. */
  | { readonly type: 'retires' }
  | Extract<FromExecutor, { readonly type: 'log' }>
