// Commits the steps of one lane: those of many chains that end at about the same time go in one call, which holds the server for
// about a millisecond at most. Tries for as long as the server cannot: what ran does not run again.
import { pause } from '../../engine/events.ts'
import { ConnectError, GearmillError } from '../../errors.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import type { ChainLane } from '../keys.ts'
import { packForServer } from '../server-pack.ts'
import { encodeEntry, type Entry } from '../wire.ts'

const mostEntries = 64
const mostCommands = 400
const mostBytes = 256 * 1024
const retryMs = 100

export type Verdict =
  /** It counts. `tag` is the next kernel's, where it was asked for. */
  | { readonly kind: 'committed'; readonly tag: string | undefined }
  /** The strand is another host's, or further on, or its chain is gone. */
  | { readonly kind: 'refused' }
  /** The server refused the first write: nothing happened. */
  | { readonly kind: 'unwritten'; readonly reason: string }
  /** The server refused a later write: those before it are applied, the rest is kept. */
  | { readonly kind: 'partly'; readonly applied: number; readonly reason: string }
  /** With it the values of the branches would take so many bytes, which is too much: nothing happened. */
  | { readonly kind: 'oversized'; readonly bytes: number }
  /** It was the last branch of a fan-out, and the join is this host's. */
  | { readonly kind: 'joined'; readonly strand: string; readonly value: Buffer }

/** What one step adds to the statistics of its kernel. */
export interface Tally {
  readonly kernel: string
  readonly steps: number
  readonly microseconds: number
  readonly failures: number
}

interface Waiting {
  readonly entry: Buffer
  readonly commands: number
  readonly next: string | undefined
  readonly tally: Tally | undefined
  readonly resolve: (verdict: Verdict) => void
  readonly reject: (error: unknown) => void
}

export interface CommitterOptions {
  readonly deployment: Deployment
  readonly lane: ChainLane
  readonly host: string
  readonly keepMs: number
  readonly failedKeepMs: number
  /** Beside those that come next: names whose tags are wanted with every commit; undefined in a cluster. */
  readonly imported: (() => Iterable<string>) | undefined
  readonly saw: (tags: ReadonlyMap<string, string>) => void
  /** How many strands may commit: when all of them wait here nothing is gained by waiting longer. */
  readonly active: () => number
  readonly trouble: (what: string, error: unknown) => void
  readonly signal: AbortSignal
}

export class Committer {
  readonly #options: CommitterOptions
  #waiting: Waiting[] = []
  #commands = 0
  #bytes = 0
  #scheduled = false

  constructor(options: CommitterOptions) {
    this.#options = options
  }

  /** Rejects only where the host is being closed, or is broken. `next` is the kernel that follows. */
  commit(entry: Entry, next?: string, tally?: Tally): Promise<Verdict> {
    return new Promise((resolve, reject) => {
      const bytes = encodeEntry(entry)
      const commands = entry.commands.length
      this.#waiting.push({ entry: bytes, commands, next, tally, resolve, reject })
      this.#commands += commands
      this.#bytes += bytes.length
      const full = this.#waiting.length >= this.#enough() || this.#commands >= mostCommands || this.#bytes >= mostBytes
      if (full) this.#flush()
      else if (!this.#scheduled) {
        this.#scheduled = true
        setImmediate(() => {
          this.#scheduled = false
          this.#flush()
        })
      }
    })
  }

  /** Of many strands half go together: the server has work while the others run their steps. */
  #enough(): number {
    const active = this.#options.active()
    return Math.min(mostEntries, active < 16 ? active : Math.ceil(active / 2))
  }

  #flush(): void {
    if (this.#waiting.length === 0) return
    const batch = this.#waiting
    this.#waiting = []
    this.#commands = 0
    this.#bytes = 0
    void this.#send(batch)
  }

  async #send(batch: readonly Waiting[]): Promise<void> {
    const { signal, trouble } = this.#options
    for (;;) {
      try {
        await this.#try(batch)
        return
      } catch (error) {
        const retryable = error instanceof ConnectError && (error.retryable || error.code === 'CONNECT_OOM')
        // Not the server's: a trusted kernel may have broken this process.
        if (signal.aborted || !(error instanceof GearmillError)) {
          for (const { reject } of batch) reject(error)
          return
        }
        if (!retryable && batch.length > 1) {
          // One of them is at fault.
          for (const one of batch) void this.#send([one])
          return
        }
        if (!retryable) {
          batch[0]?.resolve({ kind: 'unwritten', reason: error.message })
          return
        }
        trouble('committing steps', error)
        await pause(retryMs, signal)
      }
    }
  }

  async #try(batch: readonly Waiting[]): Promise<void> {
    const { deployment, lane, host, keepMs, failedKeepMs, imported, saw } = this.#options
    const names = new Map<string, number>()
    if (imported !== undefined) {
      for (const name of imported()) names.set(name, names.size)
      for (const { next } of batch) if (next !== undefined && !names.has(next)) names.set(next, names.size)
    }
    const packed = packForServer(batch.map(({ entry }) => entry))
    const args = [host, keepMs, failedKeepMs, statisticsOf(batch), packed, ...names.keys()]
    const reply = itemsOf(await deployment.call('chain_commit', [lane.base], args, { binary: true }))
    const letters = textOf(reply[0])
    const tags = reply.slice(1, 1 + names.size).map(textOf)
    if (names.size > 0) saw(new Map([...names.keys()].map((name, i) => [name, tags[i] as string])))
    const more = new Map<number, number>()
    for (let i = 1 + names.size; i + 2 < reply.length; i += 3) more.set(numberOf(reply[i]) - 1, i)
    for (const [i, { next, resolve }] of batch.entries()) {
      const at = more.get(i) ?? 0
      switch (letters[i]) {
        case '1':
          resolve({ kind: 'committed', tag: next === undefined ? undefined : tags[names.get(next) ?? -1] })
          break
        case 'e':
          resolve({ kind: 'unwritten', reason: textOf(reply[at + 1]) })
          break
        case 'p':
          resolve({ kind: 'partly', applied: numberOf(reply[at + 1]), reason: textOf(reply[at + 2]) })
          break
        case 's':
          resolve({ kind: 'oversized', bytes: numberOf(reply[at + 1]) })
          break
        case 'v':
          resolve({ kind: 'joined', strand: textOf(reply[at + 1]), value: reply[at + 2] as Buffer })
          break
        default:
          resolve({ kind: 'refused' })
      }
    }
  }
}

function statisticsOf(batch: readonly Waiting[]): Buffer | string {
  const sums = new Map<string, { steps: number; microseconds: number; failures: number }>()
  for (const { tally } of batch) {
    if (tally === undefined) continue
    let sum = sums.get(tally.kernel)
    if (sum === undefined) sums.set(tally.kernel, (sum = { steps: 0, microseconds: 0, failures: 0 }))
    sum.steps += tally.steps
    sum.microseconds += tally.microseconds
    sum.failures += tally.failures
  }
  if (sums.size === 0) return ''
  return packForServer(
    [...sums].flatMap(([name, { steps, microseconds, failures }]) => [name, steps, Math.round(microseconds), failures]),
  )
}
