// Runs one step: finds the kernel and its inputs, runs it within its limits, and says what is to be committed.
import type { Deployment } from '../../redis/deployment.ts'
import { causeOf } from '../../engine/failure.ts'
import { ConnectError, GearmillError, KernelError, RecordError } from '../../errors.ts'
import { eventKey, isKernelName } from '../keys.ts'
import type { PositionWriter } from '../position.ts'
import type { Call, Condition, Follow, KernelCommand, KernelRuntime, LogLine, Outcome, Value } from '../step.ts'
import { shortVersion, type StoredKernel } from '../store.ts'
import {
  encodeCall,
  encodeTrace,
  jsonOf,
  noJoin,
  packValue,
  readyValue,
  shownFollow,
  shownLog,
  shownValues,
  shownWrites,
  type DecodedCall,
  type StepFailure,
  type TraceRow,
  type Transition,
} from '../wire.ts'
import type { Gate } from './gate.ts'
import { InputError, plainInputs, readInputs, type Inputs } from './inputs.ts'
import type { Lookup } from './lookup.ts'
import type { Strand } from './strand.ts'

const firstBackoffMs = 100
const longestBackoffMs = 60_000
const mostBranches = 1000
const mostBytes = 8 * 1024 * 1024

export interface StepRunOptions {
  readonly deployment: Deployment
  readonly namespace: string
  /** The owner of its strands, and the executor in traces. */
  readonly host: string
  readonly runtime: KernelRuntime
  readonly lookup: Lookup
  readonly gate: Gate
  readonly position: PositionWriter
  /** A trusted step did not end in its time, and cannot be ended. */
  readonly hangs: () => void
}

/** What ran, for the trace and the statistics. */
export interface Ran {
  readonly kernel: StoredKernel | undefined
  readonly startedMs: number
  readonly tookMs: number
  readonly inputs: readonly Value[]
}

export type StepResult =
  | { readonly kind: 'outcome'; readonly ran: Ran; readonly outcome: Outcome }
  | { readonly kind: 'failure'; readonly ran: Ran; readonly failure: StepFailure; readonly log: readonly LogLine[] }

/** The reason that a letter behind the number of crashes stands for. */
const verdicts: Readonly<Record<string, { readonly code: KernelError['code']; readonly message: string }>> = {
  t: { code: 'KERNEL_TIMEOUT', message: 'the step was not done within its time limit, and its process was ended' },
  m: { code: 'KERNEL_MEMORY', message: 'the step used more memory than its process may have, which was ended' },
}
/** A process may be ended by anybody; one that ends so often while the step runs, the last times alone, ends because of it. */
const mostCrashes = 5

function verdictOf(crashes: string): { readonly code: KernelError['code']; readonly message: string } | undefined {
  const verdict = verdicts[crashes.slice(-1)]
  if (verdict !== undefined || Number(crashes) < mostCrashes) return verdict
  return { code: 'KERNEL_CRASHED', message: `the process of the step ended ${crashes} times while it ran` }
}

export class StepRun {
  readonly #options: StepRunOptions
  /** What runs with all rights may have broken this process: its globals, say. */
  ranTrusted = false

  constructor(options: StepRunOptions) {
    this.#options = options
  }

  /** Rejects only where the server cannot be reached for long. */
  async run(strand: Strand, call: DecodedCall): Promise<StepResult> {
    const { lookup, deployment, namespace } = this.#options
    const kernel = lookup.known(call.name, strand.tag) ?? (await lookup.read(call.name))
    const startedMs = Date.now()
    const nothing: Ran = { kernel, startedMs, tookMs: 0, inputs: call.args }
    const fail = (error: unknown, ran = nothing): StepResult => ({
      kind: 'failure',
      ran,
      failure: this.failure(strand, call.name, versionOfRan(ran), error),
      log: error instanceof KernelError ? error.log : [],
    })
    if (kernel === undefined) {
      return fail(new KernelError('KERNEL_UNKNOWN', `there is no kernel ${call.name}`, { kernel: call.name }))
    }
    const verdict = verdictOf(strand.fence.crashes)
    if (verdict !== undefined) return fail(new KernelError(verdict.code, verdict.message, { kernel: kernel.name }))
    let inputs: Inputs
    try {
      inputs = plainInputs(call) ?? (await readInputs(call, deployment, namespace))
    } catch (error) {
      if (!(error instanceof InputError)) throw error
      return fail(new KernelError('KERNEL_INPUT', error.message, { kernel: kernel.name }))
    }
    const begun = performance.now()
    const ranUntilNow = (): Ran => ({ kernel, startedMs, tookMs: performance.now() - begun, inputs: inputs.args })
    try {
      const outcome = await this.#limitedRun(strand, kernel, inputs, startedMs)
      check(outcome)
      return { kind: 'outcome', ran: ranUntilNow(), outcome }
    } catch (error) {
      if (error instanceof ConnectError && error.retryable) throw error
      if (this.ranTrusted && !(error instanceof GearmillError)) throw error
      return fail(error, ranUntilNow())
    }
  }

  async #limitedRun(strand: Strand, kernel: StoredKernel, inputs: Inputs, nowMs: number): Promise<Outcome> {
    const { gate, position, runtime, hangs } = this.#options
    const { step, attempt, crashes } = strand.fence
    const entering = gate.enter(crashes !== '0')
    if (entering !== undefined) await entering
    const since = entering === undefined ? nowMs : Date.now()
    position.enter(strand.place, since, kernel.timeoutMs, kernel.trusted)
    if (kernel.trusted) this.ranTrusted = true
    const context = { chain: strand.name.chain, step, attempt: attempt + 1, nowMs: since, raw: inputs.raw }
    try {
      return await runtime.run(kernel, inputs.args, context)
    } catch (error) {
      if (kernel.trusted && error instanceof KernelError && error.code === 'KERNEL_TIMEOUT') hangs()
      throw error
    } finally {
      position.leave(strand.place)
      gate.leave()
    }
  }

  /** What was thrown, as the failure of a step. */
  failure(strand: Strand, name: string, version: string, error: unknown): StepFailure {
    const told = error instanceof GearmillError ? error : undefined
    const cause = told === undefined ? error : told.cause
    return {
      code: told?.code ?? 'KERNEL_THREW',
      message: told?.message ?? (error instanceof Error ? error.message : String(error)),
      chain: strand.name.chain,
      kernel: name,
      version,
      step: strand.fence.step,
      ...(told instanceof KernelError ? placeOf(told) : {}),
      ...(told === undefined ? {} : { hint: told.hint }),
      ...(cause instanceof Error ? { cause: causeOf(cause) } : {}),
    }
  }

  trace(strand: Strand, name: string, ran: Ran, more: TraceMore): Buffer {
    const { fence } = strand
    const row: TraceRow = [
      strand.name.branch,
      fence.step,
      fence.attempt + 1,
      name,
      versionOfRan(ran),
      ran.startedMs,
      Math.round(ran.tookMs * 1000) / 1000,
      this.#options.host,
      shownValues(ran.inputs),
      shownWrites(more.writes ?? []),
      shownLog(more.log ?? []),
      more.follow ?? '',
      more.failure ?? null,
    ]
    return encodeTrace(row)
  }

  /** What follows a failed attempt: another one later, or the failure of the chain. */
  afterFailure(strand: Strand, failure: StepFailure, kernel: StoredKernel | undefined): Transition {
    const { step, attempt } = strand.fence
    if (kernel !== undefined && attempt < kernel.retries) {
      const delay = Math.min(longestBackoffMs, firstBackoffMs * 2 ** attempt)
      return ['w', readyValue(step, attempt + 1, '-', strand.payload), delay, false]
    }
    return ['f', JSON.stringify(failure), JSON.stringify({ error: failure })]
  }

  /** What follows an outcome. `kept`: how many branches of a fan-out stay in this host; `queued`: nothing does. */
  afterOutcome(strand: Strand, follow: Follow, kept: (branches: number) => number, queued: boolean): Transition {
    const { branch } = strand.name
    const { step } = strand.fence
    if (follow.kind === 'done') {
      const result = packValue(follow.value)
      if (result.length > mostBytes) throw tooLarge(result.length)
      return branch === '0' ? ['d', result, jsonOf(follow.value)] : ['j', result]
    }
    if (follow.kind === 'next') {
      const { call } = follow
      const waits = call.afterMs > 0 || call.when !== undefined
      const owner = waits || queued ? '-' : this.#options.host
      const value = readyValue(step + 1, 0, owner, callOf(call))
      if (value.length > mostBytes) throw tooLarge(value.length)
      return waits ? ['w', value, call.afterMs, this.#keyOf(call.when)] : [queued ? 'q' : 'n', value]
    }
    const { calls, join } = follow
    const stay = queued ? 0 : kept(calls.length)
    let bytes = 0
    let placed = 0
    const branches = calls.map((call) => {
      const waits = call.afterMs > 0 || call.when !== undefined
      const here = !waits && placed < stay
      if (here) placed += 1
      const value = readyValue(step + 1, 0, here ? this.#options.host : '-', callOf(call))
      bytes += value.length
      return [value, here, call.afterMs, this.#keyOf(call.when)] as const
    })
    if (bytes > mostBytes) throw tooLarge(bytes)
    return ['a', readyValue(step, 0, 'J', joinOf(join, this.#keyOf(join?.when))), ...branches]
  }

  #keyOf(when: Condition | undefined): string | false {
    if (when === undefined) return false
    return 'key' in when ? when.key : eventKey(this.#options.namespace, when.event)
  }
}

export function versionOfRan({ kernel }: Ran): string {
  return kernel === undefined ? '' : shortVersion(kernel.hash)
}

export interface TraceMore {
  readonly writes?: readonly KernelCommand[]
  readonly log?: readonly LogLine[]
  readonly follow?: string
  readonly failure?: StepFailure
}

export function followText(follow: Follow): string {
  if (follow.kind === 'done') return 'done'
  return follow.kind === 'next' ? shownFollow([follow.call], undefined) : shownFollow(follow.calls, follow.join)
}

/** The end of a fan-out that has no join of its own, or one that has to wait: what follows its pseudo-call. */
export function followOfJoin(join: DecodedCall): Follow {
  const [results = [], name, args, afterMs, key] = join.args
  if (typeof name !== 'string') return { kind: 'done', value: results }
  const call: Call = {
    name,
    args: [results, ...(Array.isArray(args) ? (args as readonly Value[]) : [])],
    afterMs: typeof afterMs === 'number' ? afterMs : 0,
    ...(typeof key === 'string' ? { when: { key } } : {}),
  }
  return { kind: 'next', call }
}

function joinOf(join: Call | undefined, key: string | false): Buffer {
  if (join === undefined) return encodeCall(noJoin, [])
  if (join.afterMs === 0 && key === false) return callOf(join)
  callOf(join)
  return encodeCall(noJoin, [join.name, join.args, join.afterMs, key])
}

function callOf({ name, args }: Call): Buffer {
  return encodeCall(name, args)
}

function check({ follow }: Outcome): void {
  if (follow.kind === 'done') return
  const calls = follow.kind === 'next' ? [follow.call] : follow.calls
  if (calls.length > mostBranches) {
    const message = `a fan-out of ${calls.length} calls; the most are ${mostBranches}`
    throw new KernelError('KERNEL_RESULT', message, { kernel: '' })
  }
  const join = follow.kind === 'all' && follow.join !== undefined ? [follow.join] : []
  for (const call of [...calls, ...join]) {
    if (isKernelName(call.name)) continue
    const message = `${JSON.stringify(call.name)} cannot be the name of a kernel`
    throw new KernelError('KERNEL_RESULT', message, { kernel: '' })
  }
}

function tooLarge(bytes: number): KernelError {
  const message = `what the step passes on takes ${bytes} bytes; the most are ${mostBytes}`
  return new KernelError('KERNEL_SIZE', message, { kernel: '' })
}

function placeOf({ line, module, log }: KernelError): Pick<StepFailure, 'line' | 'module' | 'log'> {
  return {
    ...(line === undefined ? {} : { line }),
    ...(module === undefined ? {} : { module }),
    ...(log.length === 0 ? {} : { log: shownLog(log).map(([level, text]) => ({ level, text })) }),
  }
}

/** The refusal of a command that can be no write, as a reason; undefined for other errors. */
export function refusalOf(error: unknown): string | undefined {
  return error instanceof RecordError ? error.message : undefined
}
