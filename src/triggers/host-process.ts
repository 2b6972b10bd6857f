// A service's view of one host: starting it, telling it what to run, watching time and memory, and what ran when it died.
import { Child } from '../engine/child-process.ts'
import { residentBytes } from '../engine/realm-watch.ts'
import type { Failure } from '../engine/runner.ts'
import { readReason, readRunning } from './position.ts'
import type { FromHost, HostSetup, Running, ToHost } from './protocol.ts'

const mib = 1024 * 1024

export interface HostEvents {
  heard(message: FromHost): void
  /** It is gone, and not because it was told to: these ran, for this reason. */
  died(running: readonly Running[], failure: Failure): void
  /** It is about to be killed for the memory that it uses. */
  overMemory(bytes: number): void
}

export class HostProcess {
  readonly #child: Child<FromHost, ToHost>
  readonly #events: HostEvents
  readonly #memoryMb: number
  #killedFor: { code: 'EXECUTION_TIMEOUT' | 'EXECUTION_MEMORY'; message: string; late?: string } | undefined
  /** Realms that it has loaded. */
  readonly realms = new Set<string>()
  /** The realm that it is for, where that has hosts of its own. */
  readonly isolated: string | undefined
  /** It came up and took orders. */
  wasReady = false
  /** Seats that it was given, all in all. */
  seats = 0
  /** Code of users may have broken it: it gets no seats any more. */
  spent = false

  constructor(
    setup: Omit<HostSetup, 'type' | 'scratch'>,
    scratch: string,
    memoryMb: number,
    isolated: string | undefined,
    events: HostEvents,
  ) {
    this.isolated = isolated
    this.#events = events
    this.#memoryMb = memoryMb
    this.#child = new Child({
      module: 'triggers/host/main.js',
      scratch,
      memoryMb,
      setup: { ...setup, type: 'setup', scratch },
      heard: (message) => {
        if (message.type === 'ready') this.wasReady = true
        else events.heard(message)
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

  /** Kills it where a batch is over its time, or the process over its memory. Called ten times a second. */
  watch(): void {
    const { pid } = this.#child
    if (pid === undefined || this.#killedFor !== undefined || this.gone) return
    const now = Date.now()
    const late = readRunning(this.#child.positionFile).find(
      ({ since, timeoutMs }) => timeoutMs > 0 && now - since > timeoutMs,
    )
    const used = residentBytes(pid)
    if (late !== undefined) {
      const message = `not done within ${late.timeoutMs} ms`
      this.#killedFor = { code: 'EXECUTION_TIMEOUT', message, late: late.id }
    } else if (used !== undefined && used > this.#memoryMb * mib) {
      this.#events.overMemory(used)
      const message = `the process used ${Math.round(used / mib)} MiB; its limit is ${this.#memoryMb} MiB`
      this.#killedFor = { code: 'EXECUTION_MEMORY', message }
    } else return
    this.#child.kill()
  }

  #died(how: string): void {
    const running = readRunning(this.#child.positionFile)
    const killed = this.#killedFor
    const reason = readReason(this.#child.positionFile) ?? `the process ${how}`
    const failure: Failure = killed ?? { code: 'EXECUTION_CRASHED', message: reason }
    const guilty = killed?.late === undefined ? running : running.filter(({ id }) => id === killed.late)
    this.#events.died(guilty, { code: failure.code, message: failure.message })
  }

  /** Ends it: in peace, or after `graceMs` by force. */
  close(graceMs: number): Promise<void> {
    return this.#child.close(graceMs)
  }
}
