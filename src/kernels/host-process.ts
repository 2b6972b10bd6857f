// A service's view of one host: starting it, watching its time and memory, and what ran when it died.
import { Child } from '../engine/child-process.ts'
import { residentBytes } from '../engine/realm-watch.ts'
import { readPosition, type RunningStep } from './position.ts'
import type { FromHost, HostSetup, ToHost } from './protocol.ts'

const mib = 1024 * 1024
/** Beyond its time limit, before a step that holds the thread is ended from outside. */
const graceMs = 250
/** A thread that is held where no step runs. */
const longestSilenceMs = 30_000

/** Why a host ended, as the fence of a step says it: too slow, too large; '-': by itself, or somebody else's doing. */
export type Reason = 't' | 'm' | '-'

export interface HostEvents {
  heard(message: FromHost): void
  /** It is gone; these ran. Not called for one that was closed. */
  died(running: readonly RunningStep[], reason: Reason, how: string): void
}

export class HostProcess {
  readonly name: string
  readonly #child: Child<FromHost, ToHost>
  readonly #events: HostEvents
  readonly #memoryMb: number
  #killedFor: { readonly reason: Reason; readonly how: string } | undefined
  wasReady = false
  /** It takes nothing any more. */
  retires = false
  room = 1
  held = 0

  constructor(setup: Omit<HostSetup, 'type' | 'scratch'>, scratch: string, memoryMb: number, events: HostEvents) {
    this.name = setup.host
    this.#events = events
    this.#memoryMb = memoryMb
    this.#child = new Child({
      module: 'kernels/host/main.js',
      scratch,
      setup: { ...setup, type: 'setup', scratch },
      heard: (message) => {
        if (message.type === 'ready') this.wasReady = true
        else if (message.type === 'retires') this.retires = true
        events.heard(message)
      },
      left: (how, asked) => {
        if (!asked) this.#died(how)
      },
    })
  }

  get gone(): boolean {
    return this.#child.gone
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  send(message: ToHost): void {
    this.#child.send(message)
  }

  /** Kills it where a step holds it for too long, or it is over its memory. Called ten times a second. */
  watch(): void {
    const { pid } = this.#child
    if (pid === undefined || this.#killedFor !== undefined || this.gone || !this.wasReady) return
    const position = readPosition(this.#child.positionFile)
    if (position === undefined) return
    const { beat, running } = position
    const holding = running.filter(({ holds }) => holds)
    const limits = holding.map(({ timeoutMs }) => timeoutMs + Math.max(graceMs, timeoutMs / 2))
    const most = limits.length === 0 ? longestSilenceMs : Math.max(...limits)
    const used = residentBytes(pid)
    if (Date.now() - beat > most) {
      this.#killedFor = { reason: 't', how: `was silent for more than ${most} ms` }
    } else if (used !== undefined && used > this.#memoryMb * mib) {
      this.#killedFor = { reason: 'm', how: `used ${Math.round(used / mib)} MiB; its limit is ${this.#memoryMb} MiB` }
    } else return
    this.#child.kill()
  }

  #died(how: string): void {
    const running = readPosition(this.#child.positionFile)?.running ?? []
    const { reason, how: why } = this.#killedFor ?? { reason: '-' as const, how }
    this.#events.died(reason === 't' ? running.filter(({ holds }) => holds) : running, reason, why)
  }

  /** Ends it: in peace, or after `grace` milliseconds by force. */
  close(grace: number): Promise<void> {
    return this.#child.close(grace)
  }
}
