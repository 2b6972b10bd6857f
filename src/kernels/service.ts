// A worker's part in kernels: hears of chains that are ready, has host processes run them, and does what time brings: leases of its
// hosts, what is due, keys that are waited for, strands of workers that died.
//
// A host is started with the first chain, another one where more is ready than the others have room for. When a host dies its
// strands go back to the queue at once. Of those whose step ran then, one is surely the reason if it was alone: it fails. Else
// each of them runs alone the next time.
import { join } from 'node:path'
import { removeTemporaryDirectory, temporaryDirectory } from '../blocks/temporary-directory.ts'
import { pause } from '../engine/events.ts'
import type { Logger } from '../engine/logger.ts'
import type { FromExecutor } from '../engine/protocol.ts'
import type { BlockingConnection, Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../redis/replies.ts'
import { HostProcess, type Reason } from './host-process.ts'
import { chainLanes, type ChainLane } from './keys.ts'
import type { RunningStep } from './position.ts'
import type { FromHost, HostSetup } from './protocol.ts'

const watchMs = 100
const tickMs = 1000
const blockSeconds = 5
const retryMs = 200
/** How long until a key that somebody waits for is looked for again. */
const lookForKeysMs = 200
const topologyMs = 10_000
/** A host that does not come up is tried again after this, doubled each time up to the longest. */
const restartMs = 250
const longestRestartMs = 10_000

export interface KernelServiceOptions {
  readonly deployment: Deployment
  readonly namespace: string
  readonly worker: string
  /** Host processes, at most. */
  readonly hosts: number
  readonly leaseMs: number
  /** Memory limit of a host, in MiB. */
  readonly memoryMb: number
  /** How long an ended chain is kept, in milliseconds. */
  readonly keepMs: number
  readonly setup: Pick<HostSetup, 'base' | 'secret'>
  readonly logger: Logger
  readonly console: (level: (FromExecutor & { type: 'log' })['level'], text: string) => void
}

interface ServedLane {
  readonly keys: ChainLane
  timer: NodeJS.Timeout | undefined
  timerAt: number
  ticking: boolean
}

export class KernelService {
  readonly #options: KernelServiceOptions
  readonly #lanes = new Map<string, ServedLane>()
  readonly #hosts = new Set<HostProcess>()
  readonly #stop = new AbortController()
  readonly #loops = new Set<Promise<void>>()
  readonly #timers: NodeJS.Timeout[] = []
  #scratch: Promise<string> | undefined
  #spawned = 0
  #failures = 0
  #notBefore = 0
  #closing = false

  constructor(options: KernelServiceOptions) {
    this.#options = options
  }

  start(): void {
    this.#every(watchMs, () => {
      for (const host of this.#hosts) host.watch()
    })
    // Shards that join get lanes of their own.
    this.#every(topologyMs, () => this.#addLanes())
    this.#addLanes()
  }

  get hostPids(): number[] {
    return [...this.#hosts].flatMap(({ pid }) => (pid === undefined ? [] : [pid]))
  }

  #every(ms: number, work: () => void): void {
    const timer = setInterval(work, ms)
    timer.unref()
    this.#timers.push(timer)
  }

  #addLanes(): void {
    for (const keys of chainLanes(this.#options.deployment, this.#options.namespace)) {
      if (this.#lanes.has(keys.tag)) continue
      const lane: ServedLane = { keys, timer: undefined, timerAt: Infinity, ticking: false }
      this.#lanes.set(keys.tag, lane)
      this.#loop(this.#hear(lane))
      this.#tickIn(lane, 0)
    }
  }

  #loop(loop: Promise<void>): void {
    this.#loops.add(loop)
    void loop.finally(() => this.#loops.delete(loop))
  }

  /** Waits for the bell of a lane. */
  async #hear(lane: ServedLane): Promise<void> {
    const { signal } = this.#stop
    const { bell } = lane.keys
    let connection: BlockingConnection | undefined
    while (!signal.aborted) {
      try {
        connection ??= await this.#options.deployment.blocking(bell)
        const rung = await connection.command(['BLPOP', bell, blockSeconds], { signal })
        if (rung !== null) await this.#ready(lane)
      } catch {
        if (signal.aborted) break
        await pause(retryMs, signal)
      }
    }
    await connection?.close()
  }

  /** Something is ready: one host looks. */
  async #ready(lane: ServedLane): Promise<void> {
    if (this.#closing) return
    const able = [...this.#hosts].filter(({ retires }) => !retires).sort((a, b) => a.held - b.held)
    let best = able.find(({ room }) => room > 0)
    if (best === undefined && able.length < this.#options.hosts) best = await this.#spawn()
    // One without room makes some: its chains have had their turn.
    best ??= able[0]
    best?.send({ type: 'look', lane: lane.keys.tag })
  }

  async #spawn(): Promise<HostProcess | undefined> {
    const scratch = await (this.#scratch ??= temporaryDirectory('scratch'))
    if (this.#closing || this.#hosts.size >= this.#options.hosts || Date.now() < this.#notBefore) return undefined
    const { deployment, namespace, worker, setup, memoryMb, leaseMs, keepMs, hosts } = this.#options
    const number = this.#spawned++
    const host: HostProcess = new HostProcess(
      { url: deployment.url, namespace, host: `${worker}.k${number}`, leaseMs, hosts, keepMs, ...setup },
      join(scratch, `kernels-${number}`),
      memoryMb,
      {
        heard: (message) => this.#heard(host, message),
        died: (running, reason, how) => this.#loop(this.#died(host, running, reason, how)),
      },
    )
    this.#hosts.add(host)
    return host
  }

  #heard(host: HostProcess, message: FromHost): void {
    switch (message.type) {
      case 'log':
        return this.#options.console(message.level, message.text)
      case 'ready':
        this.#failures = 0
        for (const lane of this.#lanes.values()) host.send({ type: 'look', lane: lane.keys.tag })
        return
      case 'took': {
        host.room = message.room
        host.held = message.held
        const lane = this.#lanes.get(message.lane)
        if (message.left > 0 && lane !== undefined) void this.#more(lane)
        return
      }
      case 'due': {
        const lane = this.#lanes.get(message.lane)
        // It may be years: a tick comes sooner, and says when the next is due.
        if (lane !== undefined) this.#tickIn(lane, Math.min(tickMs, message.inMs))
        return
      }
      case 'retires':
        return
    }
  }

  /** More is ready than a host took: the others look too, and there may be one more. */
  async #more(lane: ServedLane): Promise<void> {
    const idle = [...this.#hosts].filter(({ held, retires, wasReady }) => wasReady && held === 0 && !retires)
    for (const host of idle) host.send({ type: 'look', lane: lane.keys.tag })
    if (idle.length === 0) await this.#spawn()
  }

  async #died(host: HostProcess, running: readonly RunningStep[], reason: Reason, how: string): Promise<void> {
    this.#hosts.delete(host)
    const { logger } = this.#options
    if (!host.retires) {
      logger.warn(`a host of kernels ${how}${running.length === 0 ? '' : `; ${running.length} steps ran in it`}`)
    }
    if (!host.wasReady) {
      this.#notBefore = Date.now() + Math.min(longestRestartMs, restartMs * 2 ** this.#failures++)
    }
    // At once: what is left of its chains goes on there.
    if (host.wasReady && !this.#closing) void this.#spawn()
    const letter = running.length === 1 ? reason : '-'
    for (const lane of this.#lanes.values()) {
      const prefix = `${lane.keys.tag} `
      const suspects = running
        .filter(({ name }) => name.startsWith(prefix))
        .map(({ name }) => `+${letter}${name.slice(prefix.length)}`)
      await this.#free(lane, host, suspects)
      this.#tickIn(lane, 0)
    }
  }

  async #free(lane: ServedLane, host: HostProcess, suspects: readonly string[]): Promise<void> {
    const { deployment } = this.#options
    const { signal } = this.#stop
    let named = suspects
    for (;;) {
      try {
        const left = numberOf(await deployment.call('chain_free', [lane.keys.base], [host.name, 1, ...named]))
        if (left === 0) return
        named = []
      } catch (error) {
        // Nobody renews its lease: others take what it had.
        if (signal.aborted) return
        this.#options.logger.warn(`freeing chains: ${String(error)}`)
        await pause(retryMs, signal)
      }
    }
  }

  #tickIn(lane: ServedLane, ms: number): void {
    const at = Date.now() + ms
    if (this.#closing || (lane.timer !== undefined && lane.timerAt <= at)) return
    clearTimeout(lane.timer)
    lane.timerAt = at
    lane.timer = setTimeout(() => {
      lane.timer = undefined
      this.#loop(this.#tick(lane))
    }, ms)
    lane.timer.unref()
  }

  async #tick(lane: ServedLane): Promise<void> {
    if (lane.ticking) return
    lane.ticking = true
    const { deployment, leaseMs } = this.#options
    let next = Math.min(tickMs, leaseMs / 3)
    try {
      const alive = [...this.#hosts].filter(({ gone }) => !gone).map(({ name }) => name)
      const reply = itemsOf(await deployment.call('chain_tick', [lane.keys.base], [leaseMs, lookForKeysMs, ...alive]))
      const due = numberOf(reply[1])
      if (due >= 0) next = Math.min(next, due)
      if (reply.length > 2) {
        next = Math.min(next, lookForKeysMs)
        await this.#wake(lane, reply.slice(2).map(textOf))
      }
      if (numberOf(reply[0]) > 0) await this.#ready(lane)
    } catch (error) {
      if (!this.#stop.signal.aborted) this.#options.logger.warn(`looking for chains: ${String(error)}`)
    } finally {
      lane.ticking = false
      this.#tickIn(lane, next)
    }
  }

  /** Strands whose key is there go on. */
  async #wake(lane: ServedLane, waiting: readonly string[]): Promise<void> {
    const { deployment } = this.#options
    const found: string[] = []
    const looks: Promise<void>[] = []
    for (let i = 0; i + 1 < waiting.length; i += 2) {
      const [strand, key] = waiting.slice(i, i + 2) as [string, string]
      looks.push(
        deployment.command(key, ['EXISTS', key]).then(
          (there) => {
            if (there === 1) found.push(strand)
          },
          // A key that this user may not read is not there.
          () => undefined,
        ),
      )
    }
    await Promise.all(looks)
    if (found.length > 0) await deployment.call('chain_wake', [lane.keys.base], found)
  }

  /** Lets running steps end for `graceMs`, gives the chains back, and ends the hosts. */
  async close(graceMs: number): Promise<void> {
    this.#closing = true
    for (const timer of this.#timers) clearInterval(timer)
    for (const { timer } of this.#lanes.values()) clearTimeout(timer)
    const hosts = [...this.#hosts]
    await Promise.all(hosts.map((host) => host.close(graceMs)))
    for (const lane of this.#lanes.values()) {
      for (const host of hosts.filter(({ wasReady }) => wasReady)) {
        await this.#options.deployment
          .call('chain_free', [lane.keys.base], [host.name, 1])
          .catch((error: unknown) => this.#options.logger.warn(`giving back chains: ${String(error)}`))
      }
    }
    this.#stop.abort()
    await Promise.all(this.#loops)
    const scratch = await this.#scratch
    if (scratch !== undefined) removeTemporaryDirectory(scratch)
  }
}
