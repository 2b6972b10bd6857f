// Runs strands of chains: takes those that are ready, runs one step after the other and commits each, until a strand ends, waits, or
// is given back. Many run at the same time; their commits share calls.
import { EffectCatalogue } from '../../engine/effects.ts'
import { pause } from '../../engine/events.ts'
import { ConnectError, KernelError } from '../../errors.ts'
import type { Deployment } from '../../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../../redis/replies.ts'
import { chainLane, type ChainLane } from '../keys.ts'
import type { PositionWriter } from '../position.ts'
import type { FromHost, HostSetup } from '../protocol.ts'
import type { KernelRuntime, LogLine } from '../step.ts'
import {
  decodeCall,
  decodeFrozen,
  encodeEntry,
  fenceOf,
  nameOfStrand,
  noJoin,
  strandOf,
  unpackValue,
  type Entry,
  type StepFailure,
  type TraceRow,
  type Transition,
} from '../wire.ts'
import { Committer, type Tally, type Verdict } from './committer.ts'
import { Gate } from './gate.ts'
import type { Lookup } from './lookup.ts'
import { StepOutbox } from './outbox.ts'
import { becomes, makeStrand, type Strand } from './strand.ts'
import { followOfJoin, followText, refusalOf, StepRun, versionOfRan, type Ran } from './step-run.ts'

/** Strands at a time. */
const capacity = 128
/** With so much room it asks for more. */
const roomToLook = 16
const reconcileMs = 2000
/** Where others wait for room, a chain that ran so many steps in one go waits in the queue again. */
const mostSteps = 50
const retryMs = 200
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

interface Lane {
  readonly keys: ChainLane
  readonly committer: Committer
  readonly strands: Map<string, Strand>
  taking: boolean
  again: boolean
  /** There was more in the queue than there was room for. */
  more: boolean
}

/** What a step comes to: the strand goes on here, or not. */
type Going = 'on' | 'gone'

export class Runner {
  readonly #options: RunnerOptions
  readonly #lanes = new Map<string, Lane>()
  readonly #catalogue: EffectCatalogue
  readonly #outbox: StepOutbox
  readonly #steps: StepRun
  readonly #places: number[] = Array.from({ length: capacity }, (_, i) => capacity - 1 - i)
  readonly #stop = new AbortController()
  readonly #idle: (() => void)[] = []
  readonly #timers: NodeJS.Timeout[] = []
  #running = 0
  #draining = false

  constructor(options: RunnerOptions) {
    this.#options = options
    const { deployment, setup, runtime, lookup, position } = options
    this.#catalogue = new EffectCatalogue(deployment)
    this.#outbox = new StepOutbox(deployment, this.#catalogue, setup.namespace)
    this.#steps = new StepRun({
      deployment,
      namespace: setup.namespace,
      host: setup.host,
      executor: setup.host,
      runtime,
      lookup,
      gate: new Gate(),
      position,
      hangs: () => this.#retire(),
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
    void this.#take(this.#lane(tag))
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
    lane = { keys, committer, strands, taking: false, again: false, more: false }
    this.#lanes.set(tag, lane)
    return lane
  }

  async #take(lane: Lane): Promise<void> {
    if (lane.taking) {
      lane.again = true
      return
    }
    lane.taking = true
    try {
      do {
        lane.again = false
        await this.#takeOnce(lane)
      } while (lane.again && !this.#draining)
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#options.tell({ type: 'log', level: 'warn', text: `kernels: looking for chains: ${String(error)}` })
        // The service asks again; what was handed out unheard is found when the strands are compared.
      }
    } finally {
      lane.taking = false
    }
  }

  async #takeOnce(lane: Lane): Promise<void> {
    const { deployment, setup, lookup, tell } = this.#options
    const room = this.#places.length
    if (this.#draining) return
    if (room === 0) {
      lane.more = true
      return
    }
    const { host, leaseMs, hosts } = setup
    const reply = itemsOf(
      await deployment.call('chain_take', [lane.keys.base], [host, leaseMs, room, hosts], { binary: true }),
    )
    const left = numberOf(reply[0])
    const taken: Strand[] = []
    for (let i = 1; i + 1 < reply.length; i += 2) {
      const strand = this.#adopt(lane, textOf(reply[i]), reply[i + 1] as Buffer)
      if (strand !== undefined) taken.push(strand)
    }
    lane.more = left > 0
    tell({ type: 'took', lane: lane.keys.tag, left, room: this.#places.length, held: this.#running + taken.length })
    if (taken.length === 0) return
    if (lookup.hasTags) {
      const names = taken.flatMap((strand) => (strand.fence.phase === 'r' ? [this.#callOf(strand).name] : []))
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
      else while ((await this.#advance(lane, strand)) === 'on');
    } catch (error) {
      if (!this.#stop.signal.aborted) {
        this.#options.tell({ type: 'log', level: 'error', text: `chain ${strand.name.chain}: ${String(error)}` })
      }
    }
    lane.strands.delete(strand.key)
    this.#places.push(strand.place)
    this.#running -= 1
    if (this.#running === 0) for (const resolve of this.#idle.splice(0)) resolve()
    if (!this.#draining && (this.#places.length >= roomToLook || this.#running === 0)) this.#takeMore()
  }

  /** Takes from the next lane that has more; each of them has its turn. */
  #takeMore(): void {
    for (const [tag, lane] of this.#lanes) {
      if (!lane.more) continue
      lane.more = false
      this.#lanes.delete(tag)
      this.#lanes.set(tag, lane)
      void this.#take(lane)
      return
    }
  }

  #isWanted(): boolean {
    for (const { more } of this.#lanes.values()) if (more) return true
    return false
  }

  #callOf(strand: Strand) {
    strand.call ??= decodeCall(strand.payload)
    return strand.call
  }

  async #advance(lane: Lane, strand: Strand): Promise<Going> {
    try {
      return await (strand.fence.phase === 'o' ? this.#finish(lane, strand) : this.#step(lane, strand))
    } catch (error) {
      if (this.#stop.signal.aborted) throw error
      if (error instanceof ConnectError && error.retryable) {
        this.#options.tell({ type: 'log', level: 'warn', text: `chain ${strand.name.chain}: ${error.message}` })
        await pause(retryMs, this.#stop.signal)
        return 'on'
      }
      // Whatever it is, who waits for the chain learns it.
      if (strand.fence.phase === 'o') throw error
      const { name } = this.#callOf(strand)
      const ran: Ran = { kernel: undefined, startedMs: Date.now(), tookMs: 0, inputs: [] }
      return this.#fail(lane, strand, ran, this.#steps.failure(strand, name, '', error), [])
    }
  }

  async #step(lane: Lane, strand: Strand): Promise<Going> {
    const call = this.#callOf(strand)
    const steps = this.#steps
    if (call.name === noJoin) {
      const transition = steps.afterOutcome(strand, followOfJoin(call), () => 0, this.#draining)
      return this.#commit(lane, strand, { trace: false, commands: [], transition })
    }
    const result = await steps.run(strand, call)
    const { ran } = result
    if (result.kind === 'failure') return this.#fail(lane, strand, ran, result.failure, result.log)
    const { writes, follow, log } = result.outcome
    let transition: Transition
    let near: boolean
    try {
      near = writes.length === 0 || (await this.#outbox.isNear(lane.keys, writes))
      for (const write of writes) {
        const key = this.#outbox.forbidden(write)
        if (key !== undefined) throw new Refusal(`${key} is a key of Gearmill's own`)
      }
      const leaves = this.#draining || (this.#isWanted() && ++strand.steps > mostSteps)
      transition = steps.afterOutcome(strand, follow, (count) => this.#share(count), leaves)
    } catch (error) {
      const reason = error instanceof Refusal ? error.message : refusalOf(error)
      if (reason === undefined && error instanceof ConnectError) throw error
      const thrown = reason === undefined ? error : writeRefused(call.name, reason)
      const failure = steps.failure(strand, call.name, versionOfRan(ran), thrown)
      return this.#fail(lane, strand, ran, failure, log)
    }
    const trace = steps.trace(strand, call.name, ran, { writes, log, follow: followText(follow) })
    const tally: Tally = { kernel: call.name, steps: 1, microseconds: ran.tookMs * 1000, failures: 0 }
    if (!near) return this.#freeze(lane, strand, { trace, commands: writes, transition }, tally)
    return this.#commit(lane, strand, { trace, commands: writes, transition }, tally, ran)
  }

  /** How many branches of a fan-out stay here: its share, as far as there is room. */
  #share(branches: number): number {
    return Math.min(Math.ceil(branches / this.#options.setup.hosts), this.#places.length + 1)
  }

  /** `counted`: the step is in the statistics already. */
  async #fail(
    lane: Lane,
    strand: Strand,
    ran: Ran,
    failure: StepFailure,
    log: readonly LogLine[],
    counted = false,
  ): Promise<Going> {
    const name = failure.kernel
    const trace = this.#steps.trace(strand, name, ran, { log, failure })
    const transition = this.#steps.afterFailure(strand, failure, ran.kernel)
    const tally = { kernel: name, steps: counted ? 0 : 1, microseconds: counted ? 0 : ran.tookMs * 1000, failures: 1 }
    return this.#commit(lane, strand, { trace, commands: [], transition }, tally)
  }

  async #commit(
    lane: Lane,
    strand: Strand,
    what: Pick<Entry, 'trace' | 'commands' | 'transition'>,
    tally?: Tally,
    ran?: Ran,
  ): Promise<Going> {
    const { transition } = what
    const next = transition[0] === 'n' ? nextOf(transition[1]) : undefined
    const entry = { strand: strand.name, fence: strand.fence, ...what }
    const verdict = await lane.committer.commit(entry, next?.name, tally)
    return this.#went(lane, strand, entry, verdict, ran)
  }

  async #went(lane: Lane, strand: Strand, entry: Entry, verdict: Verdict, ran: Ran | undefined): Promise<Going> {
    const { transition } = entry
    switch (verdict.kind) {
      case 'refused':
        return 'gone'
      case 'joined':
        this.#rename(lane, strand, verdict.strand, verdict.value)
        return 'on'
      case 'unwritten':
      case 'partly':
        return this.#unwritten(lane, strand, entry, verdict, ran)
      case 'committed':
        break
    }
    switch (transition[0]) {
      case 'n': {
        const next = nextOf(transition[1])
        becomes(strand, strand.name, transition[1])
        strand.call = next
        strand.tag = verdict.tag
        return 'on'
      }
      case 'w':
        this.#options.tell({
          type: 'due',
          lane: lane.keys.tag,
          inMs: transition[3] === false ? transition[2] : Math.max(0, transition[2]),
        })
        return 'gone'
      case 'a':
        return this.#branches(lane, strand, transition)
      default:
        return 'gone'
    }
  }

  /** Goes on with the first branch that stays; starts the others that do. */
  #branches(lane: Lane, strand: Strand, [, , ...branches]: Extract<Transition, readonly ['a', ...unknown[]]>): Going {
    const { branch, chain } = strand.name
    let going: Going = 'gone'
    for (const [i, [value, here, delayMs, key]] of branches.entries()) {
      if (!here) {
        if (delayMs > 0 || key !== false) {
          this.#options.tell({ type: 'due', lane: lane.keys.tag, inMs: delayMs })
        }
        continue
      }
      const name = nameOfStrand({ branch: `${branch}_${i}`, chain })
      if (going === 'gone') {
        this.#rename(lane, strand, name, value)
        going = 'on'
        continue
      }
      const other = this.#adopt(lane, name, value)
      if (other !== undefined) this.#start(lane, other)
    }
    return going
  }

  #rename(lane: Lane, strand: Strand, key: string, value: Buffer): void {
    lane.strands.delete(strand.key)
    becomes(strand, strandOf(key), value)
    lane.strands.set(key, strand)
    this.#options.position.name(strand.place, `${lane.keys.tag} ${key}`)
  }

  async #unwritten(
    lane: Lane,
    strand: Strand,
    entry: Entry,
    verdict: Extract<Verdict, { readonly kind: 'unwritten' | 'partly' }>,
    ran: Ran | undefined,
  ): Promise<Going> {
    const [name, version] = kernelOf(entry.trace)
    // Not a write: the commit as a whole.
    if (entry.commands.length === 0) throw writeRefused(name, verdict.reason)
    const failure = this.#steps.failure(strand, name, version, writeRefused(name, verdict.reason))
    if (verdict.kind === 'unwritten' && strand.fence.phase === 'r' && ran !== undefined) {
      return this.#fail(lane, strand, ran, failure, [], true)
    }
    // What is applied stays: a resumed chain goes on with the writes that are left.
    if (verdict.kind === 'partly') strand.fence = { ...strand.fence, phase: 'o' }
    return this.#failFrozen(lane, strand, entry, failure, ran)
  }

  async #failFrozen(
    lane: Lane,
    strand: Strand,
    { commands }: Pick<Entry, 'commands'>,
    failure: StepFailure,
    ran: Ran | undefined,
  ): Promise<Going> {
    const trace =
      ran === undefined ? false : this.#steps.trace(strand, failure.kernel, ran, { writes: commands, failure })
    const transition: Transition = ['f', JSON.stringify(failure), JSON.stringify({ error: failure })]
    return this.#commit(lane, strand, { trace, commands: [], transition })
  }

  /** Decides a step whose writes do not go along with its commit: from then on they are applied, whoever does it. */
  async #freeze(
    lane: Lane,
    strand: Strand,
    what: Pick<Entry, 'trace' | 'commands' | 'transition'>,
    tally?: Tally,
  ): Promise<Going> {
    const frozen = { ...strand.fence, phase: 'o' as const }
    const inner = encodeEntry({ strand: strand.name, fence: frozen, ...what })
    const value = Buffer.concat([Buffer.from(`${fenceOf(frozen)}0 `, 'latin1'), inner])
    const entry: Entry = {
      strand: strand.name,
      fence: strand.fence,
      trace: false,
      commands: [],
      transition: ['o', value],
    }
    const verdict = await lane.committer.commit(entry, undefined, tally)
    if (verdict.kind !== 'committed') return 'gone'
    becomes(strand, strand.name, value)
    return 'on'
  }

  /** Applies the writes of a step that was decided, and lets its strand go on. */
  async #finish(lane: Lane, strand: Strand): Promise<Going> {
    const { applied, trace, commands, transition } = decodeFrozen(strand.payload)
    const left = commands.slice(applied)
    // The host that decided it may be gone: what it kept for itself is this one's now.
    const mine = this.#inherited(transition)
    if (left.length === 0 || (await this.#outbox.isNear(lane.keys, left))) {
      return this.#commit(lane, strand, { trace, commands: left, transition: mine })
    }
    const done = await this.#outbox.apply(strand.name, strand.fence, left)
    if (done.reason === undefined) return this.#commit(lane, strand, { trace, commands: [], transition: mine })
    const [name, version] = kernelOf(trace)
    const failure = this.#steps.failure(strand, name, version, writeRefused(name, done.reason))
    const rest = left.slice(done.applied)
    if (done.applied > 0 && (await this.#freeze(lane, strand, { trace, commands: rest, transition })) === 'gone') {
      return 'gone'
    }
    return this.#failFrozen(lane, strand, { commands: rest }, failure, undefined)
  }

  #inherited(transition: Transition): Transition {
    const { host } = this.#options.setup
    const owned = (value: Buffer): Buffer => ownedBy(value, host)
    if (transition[0] === 'n') return this.#draining ? ['q', ownedBy(transition[1], '-')] : ['n', owned(transition[1])]
    if (transition[0] !== 'a') return transition
    const [kind, join, ...branches] = transition
    const room = this.#places.length + 1
    return [
      kind,
      join,
      ...branches.map(([value, here, delay, key], i) => {
        const stays = here && !this.#draining && i < room
        return [ownedBy(value, stays ? host : '-'), stays, delay, key] as const
      }),
    ]
  }

  async #giveBack(lane: Lane, strand: Strand): Promise<void> {
    await this.#options.deployment.call('chain_free', [lane.keys.base], [this.#options.setup.host, 0, strand.key])
  }

  /** Finds strands that are this host's without its knowing: a reply was lost, or the server went back in time. */
  async #reconcile(): Promise<void> {
    const { deployment, setup } = this.#options
    for (const lane of this.#lanes.values()) {
      if (lane.taking || this.#draining || this.#places.length === 0) continue
      lane.taking = true
      try {
        const known = [...lane.strands.keys()]
        const reply = itemsOf(
          await deployment.call('chain_look', [lane.keys.base], [setup.host, ...known], { binary: true }),
        )
        for (let i = 0; i + 1 < reply.length; i += 2) {
          const strand = this.#adopt(lane, textOf(reply[i]), reply[i + 1] as Buffer)
          if (strand !== undefined) this.#start(lane, strand)
        }
      } catch {
        // The next time.
      }
      lane.taking = false
      if (lane.again) void this.#take(lane)
    }
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

/** Kernel and version of a step by its trace. */
function kernelOf(trace: Buffer | false): readonly [string, string] {
  if (trace === false) return ['', '']
  const row = unpackValue(trace) as TraceRow
  return [row[3], row[4]]
}

function writeRefused(kernel: string, reason: string): KernelError {
  return new KernelError('KERNEL_WRITE', `the server refused a write: ${reason}`, { kernel })
}

/** A write that Gearmill refuses. */
class Refusal extends Error {}

/** The call of a value that is to run. */
function nextOf(value: Buffer) {
  return decodeCall(makeStrand('0.', value, 0).payload)
}

function ownedBy(value: Buffer, owner: string): Buffer {
  const { fence, payload } = makeStrand('0.', value, 0)
  return Buffer.concat([Buffer.from(fenceOf({ ...fence, owner }), 'latin1'), payload])
}
