// Follows one primary: every write in its order, each with the database and the transaction that it belongs to. Comes back
// after every loss of the connection and goes on where it was; says where it could not.
//
// Of the bytes that come only what the filter wants is made into commands. While `take` runs, or someone holds the tap,
// nothing is read: the server keeps it.
import { setTimeout as delay } from 'node:timers/promises'
import { ConnectError } from '../../errors.ts'
import { parseUrl, type Address } from '../url.ts'
import { CommandView } from './command-view.ts'
import { runLink, type TapPosition } from './link.ts'

const retryMs = 200
const longestRetryMs = 5000
/** Without writes that are wanted the state is handed out this often. */
const noteMs = 1000

/** What is wanted of one write, or of several that took effect together. */
export interface TappedWrite {
  readonly database: number
  /** Of the last byte, in the primary's history. */
  readonly offset: number
  /** They took effect with others. */
  readonly together: boolean
  readonly commands: readonly (readonly Buffer[])[]
  /** First keys of those among them that the filter took for marks. */
  readonly marks: readonly string[]
}

/** Asked about every write, and of every command within a transaction; keeps nothing of the view. */
export interface TapFilter {
  wants(command: CommandView): boolean
  /** Whether the first key says something about the whole transaction. */
  marks(command: CommandView): boolean
}

export interface TapState extends TapPosition {
  /** What the last SELECT in the stream chose. */
  readonly database: number
}

export interface TapOptions {
  readonly url: string
  /** Where the primary is now; asked again before each attempt. */
  readonly address: () => Promise<Address>
  readonly from: TapState | undefined
  readonly filter: TapFilter
  /** The stream begins. `gap`: what happened before this state, and after the one before it, is not known. */
  readonly started: (state: TapState, gap: boolean) => Promise<void>
  /** Takes writes, and the state to go on from behind them. Resolves when both are safe. */
  readonly take: (writes: readonly TappedWrite[], state: TapState) => Promise<void>
  readonly signal: AbortSignal
  readonly trouble: (what: string, error: unknown) => void
}

interface Transaction {
  readonly commands: Buffer[][]
  readonly marks: string[]
}

const letters = { e: 0x65, m: 0x6d, p: 0x70, r: 0x72, s: 0x73 }

export class Tap {
  readonly #options: TapOptions
  readonly #view = new CommandView()
  #state: TapState | undefined
  #turn: Promise<void> = Promise.resolve()
  #held = 0
  #failed: Error | undefined
  #link = new AbortController()
  // Of the connection: what was read of it, and is not taken.
  #pending: TappedWrite[] = []
  #open: Transaction | undefined
  #database = 0
  /** Behind the last write that is whole. */
  #boundary = 0
  #boundaryDatabase = 0
  #notedAt = 0

  constructor(options: TapOptions) {
    this.#options = options
    this.#state = options.from
  }

  /** Runs until its signal aborts, or until the server refuses replicas (CONNECT_PERMISSION), or `take` throws. */
  async run(): Promise<void> {
    const { url, signal, address, trouble } = this.#options
    const { credentials, tls } = parseUrl(url)
    let pause = retryMs
    while (!signal.aborted) {
      this.#link = new AbortController()
      this.#pending = []
      this.#open = undefined
      try {
        await runLink(
          await address(),
          { credentials, tls },
          this.#state,
          {
            started: (position, continued) => {
              pause = retryMs
              return this.#begin(position, continued)
            },
            bytes: (buffer, length, offset) => this.#scan(buffer, length, offset),
            busy: () => (this.#held > 0 ? this.#turn : undefined),
            taken: () => this.#state?.offset ?? 0,
          },
          AbortSignal.any([signal, this.#link.signal]),
        )
      } catch (error) {
        if (this.#failed === undefined) {
          const refused = error instanceof ConnectError && ['CONNECT_PERMISSION', 'CONNECT_AUTH'].includes(error.code)
          if (refused) throw error
          if (!signal.aborted) trouble('following the primary', error)
        }
      }
      await this.#turn
      if (this.#failed !== undefined) throw this.#failed
      if (!signal.aborted) await delay(pause, undefined, { signal }).catch(() => undefined)
      pause = Math.min(longestRetryMs, pause * 2)
    }
  }

  /** Runs `f` while nothing is read or taken; what it throws ends the tap. */
  async hold(f: () => Promise<void>): Promise<void> {
    this.#held += 1
    this.#turn = this.#turn.then(async () => {
      try {
        if (this.#failed === undefined) await f()
      } catch (error) {
        this.#failed = error instanceof Error ? error : new ConnectError('CONNECT_LOST', String(error))
        this.#link.abort()
      } finally {
        this.#held -= 1
      }
    })
    await this.#turn
    if (this.#failed !== undefined) throw this.#failed
  }

  async #begin(position: TapPosition, continued: boolean): Promise<void> {
    const before = this.#state
    this.#database = continued ? (before?.database ?? 0) : 0
    this.#boundary = position.offset
    this.#boundaryDatabase = this.#database
    const state = { ...position, database: this.#database }
    this.#state = state
    await this.hold(() => this.#options.started(state, !continued && before !== undefined))
  }

  #scan(buffer: Buffer, length: number, offset: number): number {
    const view = this.#view
    let at = 0
    for (;;) {
      const next = view.read(buffer, at, length)
      if (next < 0) break
      at = next
      if (view.count > 0) this.#read(view, offset + at)
      if (this.#open === undefined) {
        this.#boundary = offset + at
        this.#boundaryDatabase = this.#database
      }
    }
    const now = performance.now()
    if (this.#pending.length > 0 || now - this.#notedAt > noteMs) {
      this.#notedAt = now
      this.#take()
    }
    return at
  }

  #read(view: CommandView, offset: number): void {
    const { filter } = this.#options
    const length = (view.ends[0] as number) - (view.starts[0] as number)
    const open = this.#open
    if (length === 3 || length > 8) {
      // Too short or too long for what follows.
    } else if (view.isLike(6, letters.s) && view.count === 2 && isSelect(view)) {
      this.#database = Number(view.text(1))
      return
    } else if (view.isLike(5, letters.m) && view.count === 1) {
      this.#open = { commands: [], marks: [] }
      return
    } else if (view.isLike(4, letters.e) && view.count === 1) {
      this.#open = undefined
      if (open !== undefined && open.commands.length > 0) {
        this.#pending.push({ database: this.#database, offset, together: true, ...open })
      }
      return
    } else if ((view.isLike(4, letters.p) && view.count === 1) || view.isLike(8, letters.r)) {
      // PING and REPLCONF; RENAMENX is as long.
      if (length === 4 || view.text(0).toUpperCase() === 'REPLCONF') return
    }
    if (open === undefined) {
      if (!filter.wants(view)) return
      const commands = [view.copy()]
      this.#pending.push({ database: this.#database, offset, together: false, commands, marks: [] })
      return
    }
    if (filter.marks(view)) open.marks.push(view.text(1))
    if (filter.wants(view)) open.commands.push(view.copy())
  }

  #take(): void {
    const writes = this.#pending
    this.#pending = []
    const { replid = '' } = this.#state ?? {}
    const state = { replid, offset: this.#boundary, database: this.#boundaryDatabase }
    // A failure ends the run.
    void this.hold(async () => {
      await this.#options.take(writes, state)
      this.#state = state
    }).catch(() => undefined)
  }
}

function isSelect(view: CommandView): boolean {
  return view.text(0).toUpperCase() === 'SELECT'
}
