// Takes strands further: runs the step that is next, commits it, and says whether the strand goes on in this host.
import { pause } from '../../engine/events.ts'
import { ConnectError, GearmillError, KernelError } from '../../errors.ts'
import type { ChainLane } from '../keys.ts'
import type { FromHost } from '../protocol.ts'
import type { LogLine } from '../step.ts'
import {
  decodeCall,
  decodeFrozen,
  encodeEntry,
  fenceOf,
  nameOfStrand,
  noJoin,
  unpackValue,
  type DecodedCall,
  type Entry,
  type StepFailure,
  type TraceRow,
  type Transition,
} from '../wire.ts'
import type { Committer, Tally, Verdict } from './committer.ts'
import type { StepOutbox } from './outbox.ts'
import { becomes, makeStrand, type Strand } from './strand.ts'
import { followOfJoin, followText, refusalOf, versionOfRan, type Ran, type StepRun } from './step-run.ts'

/** Where others wait for room, a chain that ran so many steps in one go waits in the queue again. */
const mostSteps = 50
const retryMs = 200
/** Of the values of a fan-out's branches: the server puts them together. As chain_commit.lua has it. */
const mostJoinBytes = 16 * 1024 * 1024

/** What a step comes to: the strand goes on here, or not. */
export type Going = 'on' | 'gone'

export interface ProgressLane {
  readonly keys: ChainLane
  readonly committer: Committer
}

export interface ProgressOptions<L extends ProgressLane> {
  readonly host: string
  /** What is ready is shared by so many hosts, at least. */
  readonly hosts: number
  readonly steps: StepRun
  readonly outbox: StepOutbox
  readonly isDraining: () => boolean
  /** Chains wait for room. */
  readonly isWanted: () => boolean
  /** How many strands more there may be. */
  readonly room: () => number
  /** Makes a strand of this host known; undefined where there is no room, or it is already. */
  readonly adopt: (lane: L, key: string, value: Buffer) => Strand | undefined
  readonly start: (lane: L, strand: Strand) => void
  /** Lets a strand go on as another one. */
  readonly rename: (lane: L, strand: Strand, key: string, value: Buffer) => void
  readonly tell: (message: FromHost) => void
  readonly signal: AbortSignal
}

export class Progress<L extends ProgressLane> {
  readonly #options: ProgressOptions<L>

  constructor(options: ProgressOptions<L>) {
    this.#options = options
  }

  /** The call that a strand is to run. */
  callOf(strand: Strand): DecodedCall {
    strand.call ??= decodeCall(strand.payload)
    return strand.call
  }

  /** True for errors that Gearmill does not know, where a trusted kernel may be why. */
  isBrokenBy(error: unknown): boolean {
    return this.#options.steps.ranTrusted && !(error instanceof GearmillError)
  }

  /** Takes a strand one step further. Rejects where only later tries can help. */
  async advance(lane: L, strand: Strand): Promise<Going> {
    try {
      return await (strand.fence.phase === 'o' ? this.#finish(lane, strand) : this.#step(lane, strand))
    } catch (error) {
      if (this.#options.signal.aborted) throw error
      if (error instanceof ConnectError && error.retryable) {
        this.#options.tell({ type: 'log', level: 'warn', text: `chain ${strand.name.chain}: ${error.message}` })
        await pause(retryMs, this.#options.signal)
        return 'on'
      }
      if (strand.fence.phase === 'o' || this.isBrokenBy(error)) throw error
      // Whatever it is, who waits for the chain learns it.
      const { name } = this.callOf(strand)
      const ran: Ran = { kernel: undefined, startedMs: Date.now(), tookMs: 0, inputs: [] }
      return this.#fail(lane, strand, ran, this.#options.steps.failure(strand, name, '', error), [])
    }
  }

  async #step(lane: L, strand: Strand): Promise<Going> {
    const call = this.callOf(strand)
    const steps = this.#options.steps
    if (call.name === noJoin) {
      const transition = steps.afterOutcome(strand, followOfJoin(call), () => 0, this.#options.isDraining())
      return this.#commit(lane, strand, { trace: false, commands: [], transition })
    }
    const result = await steps.run(strand, call)
    const { ran } = result
    if (result.kind === 'failure') return this.#fail(lane, strand, ran, result.failure, result.log)
    const { writes, follow, log } = result.outcome
    let transition: Transition
    let near: boolean
    try {
      near = writes.length === 0 || (await this.#options.outbox.isNear(lane.keys, writes))
      for (const write of writes) {
        const key = this.#options.outbox.forbidden(write)
        if (key !== undefined) throw new Refusal(`${key} is a key of Gearmill's own`)
      }
      const leaves = this.#options.isDraining() || (this.#options.isWanted() && ++strand.steps > mostSteps)
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
    if (!near) return this.#freeze(lane, strand, { trace, commands: writes, transition }, tally, ran)
    return this.#commit(lane, strand, { trace, commands: writes, transition }, tally, ran)
  }

  /** How many branches of a fan-out stay here: its share, as far as there is room. */
  #share(branches: number): number {
    return Math.min(Math.ceil(branches / this.#options.hosts), this.#options.room() + 1)
  }

  /** `counted`: the step is in the statistics already. */
  async #fail(
    lane: L,
    strand: Strand,
    ran: Ran,
    failure: StepFailure,
    log: readonly LogLine[],
    counted = false,
  ): Promise<Going> {
    const name = failure.kernel
    const trace = this.#options.steps.trace(strand, name, ran, { log, failure })
    const transition = this.#options.steps.afterFailure(strand, failure, ran.kernel)
    const steps = counted ? 0 : 1
    const tally: Tally = { kernel: name, steps, microseconds: steps * ran.tookMs * 1000, failures: 1 }
    // Of a kernel that there is not, nothing is counted: anybody can ask for any name.
    const known = ran.kernel === undefined ? undefined : tally
    return this.#commit(lane, strand, { trace, commands: [], transition }, known)
  }

  async #commit(
    lane: L,
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

  async #went(lane: L, strand: Strand, entry: Entry, verdict: Verdict, ran: Ran | undefined): Promise<Going> {
    const { transition } = entry
    switch (verdict.kind) {
      case 'refused':
        return 'gone'
      case 'joined':
        this.#options.rename(lane, strand, verdict.strand, verdict.value)
        return 'on'
      case 'unwritten':
      case 'partly':
        return this.#unwritten(lane, strand, entry, verdict, ran)
      case 'oversized':
        return this.#oversized(lane, strand, entry, verdict.bytes, ran)
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
  #branches(lane: L, strand: Strand, [, , ...branches]: Extract<Transition, readonly ['a', ...unknown[]]>): Going {
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
        this.#options.rename(lane, strand, name, value)
        going = 'on'
        continue
      }
      const other = this.#options.adopt(lane, name, value)
      if (other !== undefined) this.#options.start(lane, other)
    }
    return going
  }

  async #unwritten(
    lane: L,
    strand: Strand,
    entry: Entry,
    verdict: Extract<Verdict, { readonly kind: 'unwritten' | 'partly' }>,
    ran: Ran | undefined,
  ): Promise<Going> {
    const [name, version] = kernelOf(entry.trace)
    // Not a write: the commit as a whole.
    if (entry.commands.length === 0) throw writeRefused(name, verdict.reason)
    const failure = this.#options.steps.failure(strand, name, version, writeRefused(name, verdict.reason))
    if (verdict.kind === 'unwritten' && strand.fence.phase === 'r' && ran !== undefined) {
      return this.#fail(lane, strand, ran, failure, [], true)
    }
    // What is applied stays: a resumed chain goes on with the writes that are left.
    if (verdict.kind === 'partly') strand.fence = { ...strand.fence, phase: 'o' }
    return this.#failFrozen(lane, strand, entry, failure, ran)
  }

  #oversized(
    lane: L,
    strand: Strand,
    entry: Pick<Entry, 'trace' | 'commands'>,
    bytes: number,
    ran: Ran | undefined,
  ): Promise<Going> {
    const [kernel, version] = kernelOf(entry.trace)
    const message = `with this one the values of the branches take ${bytes} bytes, and the most are ${mostJoinBytes}`
    const error = new KernelError('KERNEL_SIZE', message, { kernel })
    const failure = this.#options.steps.failure(strand, kernel, version, error)
    if (strand.fence.phase === 'r' && ran !== undefined) return this.#fail(lane, strand, ran, failure, [], true)
    return this.#failFrozen(lane, strand, entry, failure, ran)
  }

  async #failFrozen(
    lane: L,
    strand: Strand,
    { commands }: Pick<Entry, 'commands'>,
    failure: StepFailure,
    ran: Ran | undefined,
  ): Promise<Going> {
    const trace =
      ran === undefined ? false : this.#options.steps.trace(strand, failure.kernel, ran, { writes: commands, failure })
    const transition: Transition = ['f', JSON.stringify(failure), JSON.stringify({ error: failure })]
    return this.#commit(lane, strand, { trace, commands: [], transition })
  }

  /** Decides a step whose writes do not go along with its commit: from then on they are applied, whoever does it. */
  async #freeze(
    lane: L,
    strand: Strand,
    what: Pick<Entry, 'trace' | 'commands' | 'transition'>,
    tally?: Tally,
    ran?: Ran,
  ): Promise<Going> {
    const frozen = { ...strand.fence, phase: 'o' as const }
    const inner = encodeEntry({ strand: strand.name, fence: frozen, ...what })
    const value = Buffer.concat([Buffer.from(`${fenceOf(frozen)}0 `, 'latin1'), inner])
    const entry: Entry = {
      strand: strand.name,
      fence: strand.fence,
      trace: false,
      commands: [],
      transition: ['o', value, what.transition[0] === 'j' ? what.transition[1].length : false],
    }
    const verdict = await lane.committer.commit(entry, undefined, tally)
    if (verdict.kind === 'oversized') return this.#oversized(lane, strand, what, verdict.bytes, ran)
    if (verdict.kind !== 'committed') return 'gone'
    becomes(strand, strand.name, value)
    return 'on'
  }

  /** Applies the writes of a step that was decided, and lets its strand go on. */
  async #finish(lane: L, strand: Strand): Promise<Going> {
    const { applied, trace, commands, transition } = decodeFrozen(strand.payload)
    const left = commands.slice(applied)
    // The host that decided it may be gone: what it kept for itself is this one's now.
    const mine = this.#inherited(transition)
    if (left.length === 0 || (await this.#options.outbox.isNear(lane.keys, left))) {
      return this.#commit(lane, strand, { trace, commands: left, transition: mine })
    }
    const done = await this.#options.outbox.apply(strand.name, strand.fence, left)
    if (done.reason === undefined) return this.#commit(lane, strand, { trace, commands: [], transition: mine })
    const [name, version] = kernelOf(trace)
    const failure = this.#options.steps.failure(strand, name, version, writeRefused(name, done.reason))
    const rest = left.slice(done.applied)
    if (done.applied > 0 && (await this.#freeze(lane, strand, { trace, commands: rest, transition })) === 'gone') {
      return 'gone'
    }
    return this.#failFrozen(lane, strand, { commands: rest }, failure, undefined)
  }

  #inherited(transition: Transition): Transition {
    const { host } = this.#options
    const owned = (value: Buffer): Buffer => ownedBy(value, host)
    if (transition[0] === 'n')
      return this.#options.isDraining() ? ['q', ownedBy(transition[1], '-')] : ['n', owned(transition[1])]
    if (transition[0] !== 'a') return transition
    const [kind, join, ...branches] = transition
    const room = this.#options.room() + 1
    return [
      kind,
      join,
      ...branches.map(([value, here, delay, key], i) => {
        const stays = here && !this.#options.isDraining() && i < room
        return [ownedBy(value, stays ? host : '-'), stays, delay, key] as const
      }),
    ]
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
