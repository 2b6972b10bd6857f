// Runs strands of chains: takes those that are ready, runs one step after the other and commits each, until a strand ends, waits, or
// is given back. Many run at the same time; their commits share calls.
import { EffectCatalogue } from '../../engine/effects.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { chainLane } from '../keys.ts'
import type { PositionWriter } from '../position.ts'
import type { FromHost, HostSetup } from '../protocol.ts'
import type { KernelRuntime } from '../step.ts'
import { strandOf } from '../wire.ts'
import { Committer } from './committer.ts'
import { Gate } from './gate.ts'
import type { Lookup } from './lookup.ts'
import { StepOutbox } from './outbox.ts'
import { Progress, type ProgressLane } from './progress.ts'
import { StepRun } from './step-run.ts'
import { becomes, makeStrand, type Strand } from './strand.ts'

/** Strands at a time. */
const capacity = 128
/** With so much room it asks for more. */
const roomToLook = 16
const reconcileMs = 2000
/** A failed chain can be resumed for so long, at least. */
const failedKeepMs = 24 * 60 * 60 * 1000

export interface RunnerOptions {
  readonly setup: HostSetup
  readonly deployment: Deployment
  readonly runtime: KernelRuntime
  readonly lookup: Lookup
  readonly position: PositionWriter
  readonly tell: (message: FromHost) => void
}

interface Lane extends ProgressLane {
  readonly strands: Map<string, Strand>
  /** Something is ready in it. */
  more: boolean
}

export class Runner {
  readonly #options: RunnerOptions
  readonly #lanes = new Map<string, Lane>()
  readonly #progress: Progress<Lane>
  readonly #places: number[] = Array.from({ length: capacity }, (_, i) => capacity - 1 - i)
  readonly #stop = new AbortController()
  readonly #idle: (() => void)[] = []
  readonly #timers: NodeJS.Timeout[] = []
  #running = 0
  #taking = false
  #again = false
  #draining = false

  constructor(options: RunnerOptions) {
    this.#options = options
    const { deployment, setup, runtime, lookup, position, tell } = options
    const { namespace, host, hosts } = setup
    const gate = new Gate()
    const hangs = (): void => this.#retire()
    this.#progress = new Progress<Lane>({
      host,
      hosts,
      steps: new StepRun({ deployment, namespace, host, runtime, lookup, gate, position, hangs }),
      outbox: new StepOutbox(deployment, new EffectCatalogue(deployment), namespace),
      isDraining: () => this.#draining,
      isWanted: () => this.#isWanted(),
      room: () => this.#places.length,
      adopt: (lane, key, value) => this.#adopt(lane, key, value),
      start: (lane, strand) => this.#start(lane, strand),
      rename: (lane, strand, key, value) => this.#rename(lane, strand, key, value),
      tell,
      signal: this.#stop.signal,
    })
    const every = (ms: number, work: () => void): void => {
      this.#timers.push(setInterval(work, ms))
    }
    position.beat(Date.now())
    every(50, () => position.beat(Date.now()))
    every(reconcileMs, () => void this.#reconcile())
  }

  /** Takes what is ready in a lane, as far as there is room. */
  look(tag: string): void {
    this.#lane(tag).more = true
    void this.#take()
  }

  #lane(tag: string): Lane {
    let lane = this.#lanes.get(tag)
    if (lane !== undefined) return lane
    const { setup, deployment, lookup, tell } = this.#options
    const keys = chainLane(setup.namespace, tag)
    const strands = new Map<string, Strand>()
    const committer = new Committer({
      deployment,
      lane: keys,
      host: setup.host,
      keepMs: setup.keepMs,
      failedKeepMs: Math.max(setup.keepMs, failedKeepMs),
      imported: lookup.hasTags ? () => lookup.imported : undefined,
      saw: (tags) => lookup.saw(tags),
      active: () => strands.size,
      trouble: (what, error) => tell({ type: 'log', level: 'warn', text: `kernels: ${what}: ${String(error)}` }),
      signal: this.#stop.signal,
    })
    lane = { keys, committer, strands, more: false }
    this.#lanes.set(tag, lane)
    return lane
  }

  /** Takes from every lane that has something, the one that has waited longest first, for as long as there is room. */
  async #take(): Promise<void> {
    this.#again = true
    if (this.#taking) return
    this.#taking = true
    while (this.#again && !this.#draining) {
      this.#again = false
      for (const [tag, lane] of [...this.#lanes]) {
        if (!lane.more || this.#places.length === 0 || this.#draining) continue
        this.#lanes.delete(tag)
        this.#lanes.set(tag, lane)
        await this.#takeOnce(lane).catch((error: unknown) => {
          // The service asks again; what was handed out unheard is found when the strands are compared.
          if (this.#stop.signal.aborted || this.#isBroken(error)) return
          this.#options.tell({ type: 'log', level: 'warn', text: `kernels: looking for chains: ${String(error)}` })
        })
      }
    }
    this.#taking = false
  }

  async #takeOnce(lane: Lane): Promise<void> {
    const { deployment, setup, lookup, tell } = this.#options
    const room = this.#places.length
    const { host, leaseMs, hosts } = setup
    lane.more = false
    const reply = itemsOf(
      await deployment.call('chain_take', [lane.keys.base], [host, leaseMs, room, hosts], { binary: true }),
    )
    const left = numberOf(reply[0])
    const taken: Strand[] = []
    for (let i = 1; i + 1 < reply.length; i += 2) {
      const strand = this.#adopt(lane, textOf(reply[i]), reply[i + 1] as Buffer)
      if (strand !== undefined) taken.push(strand)
    }
    // It may have been asked to look again since.
    lane.more ||= left > 0
    tell({ type: 'took', lane: lane.keys.tag, left, room: this.#places.length, held: this.#running + taken.length })
    if (taken.length === 0) return
    if (lookup.hasTags) {
      const names = taken.flatMap((strand) => (strand.fence.phase === 'r' ? [this.#progress.callOf(strand).name] : []))
      // Without tags each of them asks for itself.
      const tags = await lookup.tags(lane.keys, names).catch(() => new Map<string, string>())
      for (const strand of taken) strand.tag = tags.get(strand.call?.name ?? '')
    }
    for (const strand of taken) this.#start(lane, strand)
  }

  /** Makes a strand of this host known; undefined where it is already. */
  #adopt(lane: Lane, key: string, value: Buffer): Strand | undefined {
    if (lane.strands.has(key)) return undefined
    const place = this.#places.pop()
    // There is no place: it is found again when strands are compared.
    if (place === undefined) return undefined
    const strand = makeStrand(key, value, place)
    lane.strands.set(key, strand)
    this.#options.position.name(place, `${lane.keys.tag} ${key}`)
    return strand
  }

  #start(lane: Lane, strand: Strand): void {
    this.#running += 1
    void this.#drive(lane, strand)
  }

  async #drive(lane: Lane, strand: Strand): Promise<void> {
    try {
      if (this.#draining) await this.#giveBack(lane, strand)
      else while ((await this.#progress.advance(lane, strand)) === 'on');
    } catch (error) {
      if (this.#stop.signal.aborted) return this.#left(lane, strand)
      // So it counts as running when this process ends.
      if (this.#progress.isBrokenBy(error)) this.#options.position.enter(strand.place, Date.now(), 0, false)
      if (this.#isBroken(error)) return
      this.#options.tell({ type: 'log', level: 'error', text: `chain ${strand.name.chain}: ${String(error)}` })
    }
    this.#left(lane, strand)
  }

  #left(lane: Lane, strand: Strand): void {
    lane.strands.delete(strand.key)
    this.#places.push(strand.place)
    this.#running -= 1
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve()
    const hasRoom = this.#places.length >= roomToLook || this.#running === 0
    if (!this.#draining && hasRoom && this.#isWanted()) void this.#take()
  }

  #isWanted(): boolean {
    for (const { more } of this.#lanes.values()) if (more) return true
    return false
  }

  #rename(lane: Lane, strand: Strand, key: string, value: Buffer): void {
    lane.strands.delete(strand.key)
    becomes(strand, strandOf(key), value)
    lane.strands.set(key, strand)
    this.#options.position.name(strand.place, `${lane.keys.tag} ${key}`)
  }

  async #giveBack(lane: Lane, strand: Strand): Promise<void> {
    await this.#options.deployment.call('chain_free', [lane.keys.base], [this.#options.setup.host, 0, strand.key])
  }

  /** Finds strands that are this host's without its knowing: a reply was lost, or the server went back in time. */
  async #reconcile(): Promise<void> {
    const { deployment, setup } = this.#options
    if (this.#taking || this.#draining || this.#places.length === 0) return
    this.#taking = true
    for (const lane of this.#lanes.values()) {
      try {
        const known = [...lane.strands.keys()]
        const reply = itemsOf(
          await deployment.call('chain_look', [lane.keys.base], [setup.host, ...known], { binary: true }),
        )
        for (let i = 0; i + 1 < reply.length; i += 2) {
          const strand = this.#adopt(lane, textOf(reply[i]), reply[i + 1] as Buffer)
          if (strand !== undefined) this.#start(lane, strand)
        }
      } catch (error) {
        // The next time.
        if (this.#isBroken(error)) return
      }
    }
    this.#taking = false
    if (this.#again) void this.#take()
  }

  /** Ends the process where a trusted kernel may have broken it: its strands go on in a sound one. */
  #isBroken(error: unknown): boolean {
    if (!this.#progress.isBrokenBy(error)) return false
    const text = `kernels: a trusted kernel has broken its host, it seems: ${String(error)}`
    this.#options.tell({ type: 'log', level: 'error', text })
    setImmediate(() => process.exit(1))
    return true
  }

  #retire(): void {
    if (this.#draining) return
    this.#options.tell({ type: 'retires' })
    void this.drained().then(() => process.exit(0))
  }

  /** Takes no more, lets steps end, and gives back what is left of their strands. */
  async drained(): Promise<void> {
    this.#draining = true
    if (this.#running > 0) await new Promise<void>((resolve) => this.#idle.push(resolve))
    this.#stop.abort()
    for (const timer of this.#timers) clearInterval(timer)
  }
}
