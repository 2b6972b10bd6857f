// A service's view of one host: starting it, watching its time and memory, and what ran when it died.
import type { ChildProcess } from 'node:child_process'
import { closeSync, rmSync } from 'node:fs'
import { startChild } from '../engine/child-process.ts'
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
  readonly #child: ChildProcess
  readonly #events: HostEvents
  readonly #positionFile: number
  readonly #scratch: string
  readonly #memoryMb: number
  readonly #exited: Promise<void>
  #killedFor: { readonly reason: Reason; readonly how: string } | undefined
  #closing = false
  gone = false
  wasReady = false
  /** It takes nothing any more. */
  retires = false
  room = 1
  held = 0

  constructor(setup: Omit<HostSetup, 'type' | 'scratch'>, scratch: string, memoryMb: number, events: HostEvents) {
    this.name = setup.host
    this.#events = events
    this.#scratch = scratch
    this.#memoryMb = memoryMb
    const { child, positionFile } = startChild('kernels/host/main.js', scratch)
    this.#positionFile = positionFile
    this.#child = child
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#left(signal === null ? `exited with code ${code}` : `was killed by ${signal}`)
        resolve()
      })
    })
    child.on('message', (message: FromHost) => {
      if (message.type === 'ready') this.wasReady = true
      else if (message.type === 'retires') this.retires = true
      events.heard(message)
    })
    this.send({ ...setup, type: 'setup', scratch })
  }

  get pid(): number | undefined {
    return this.#child.pid
  }

  send(message: ToHost): void {
    if (this.#child.connected) this.#child.send(message)
  }

  /** Kills it where a step holds it for too long, or it is over its memory. Called ten times a second. */
  watch(): void {
    const { pid } = this.#child
    if (pid === undefined || this.#killedFor !== undefined || this.gone || !this.wasReady) return
    const position = readPosition(this.#positionFile)
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
    this.#child.kill('SIGKILL')
  }

  #left(how: string): void {
    this.gone = true
    const running = readPosition(this.#positionFile)?.running ?? []
    closeSync(this.#positionFile)
    rmSync(this.#scratch, { recursive: true, force: true })
    if (this.#closing) return
    const { reason, how: why } = this.#killedFor ?? { reason: '-' as const, how }
    this.#events.died(reason === 't' ? running.filter(({ holds }) => holds) : running, reason, why)
  }

  /** Ends it: in peace, or after `graceMs` by force. */
  async close(grace: number): Promise<void> {
    this.#closing = true
    if (this.gone) return
    this.send({ type: 'close' })
    const force = setTimeout(() => this.#child.kill('SIGKILL'), grace)
    await this.#exited
    clearTimeout(force)
  }
}
