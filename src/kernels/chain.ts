// A chain as its starter sees it.
import { catalogue, ConnectError, KernelError, type ErrorCode } from '../errors.ts'
import { thrownOf } from '../engine/failure.ts'
import type { Deployment, Reply } from '../redis/deployment.ts'
import { itemsOf, numberOf, pairsOf, textOf } from '../redis/replies.ts'
import type { ChainEnds } from './ends.ts'
import { chainLane, type ChainLane } from './keys.ts'
import { checkWait } from './options.ts'
import type { LogLine, Value } from './step.ts'
import { decodeStrand, decodeCall, unpackValue, type StepFailure, type TraceRow } from './wire.ts'

/** `waiting`: everything that is left of it waits for a time, a key or an event. */
export type ChainState = 'running' | 'waiting' | 'done' | 'failed'

export interface ChainStatus {
  readonly id: string
  readonly state: ChainState
  /** Steps that were committed, failed attempts included. */
  readonly steps: number
  /** Kernels that run, or come next: one for each branch. */
  readonly next: readonly string[]
  /** Milliseconds since 1970. */
  readonly created: number
  readonly ended: number | undefined
  readonly error: KernelError | undefined
}

/** One step of a chain that was committed, or one attempt that failed. */
export interface TraceEntry {
  /** Counts from 1; branches of a fan-out that run at the same time have the same numbers. */
  readonly step: number
  /** Counts from 1. */
  readonly attempt: number
  /** '0', or '0_2' for the third branch of a fan-out. */
  readonly branch: string
  readonly kernel: string
  /** Which version ran: the beginning of its hash. */
  readonly version: string
  /** Long ones are cut. */
  readonly inputs: readonly Value[]
  readonly writes: readonly (readonly string[])[]
  /** What came next: `done`, or the kernels that were called. */
  readonly next: string
  readonly log: readonly LogLine[]
  /** Milliseconds since 1970. */
  readonly started: number
  readonly ended: number
  readonly executor: string
  readonly error: KernelError | undefined
}

/** A durable run of kernels. It goes on without its starter. */
export interface Chain<T = unknown> {
  readonly id: string
  /** The last value. Rejects with KernelError; `signal` stops the waiting. */
  done(options?: { readonly signal?: AbortSignal }): Promise<T>
  status(): Promise<ChainStatus>
  /** What ran, in the order of the commits; the last 10,000. */
  trace(): Promise<TraceEntry[]>
  /** After a fix: goes on from the steps that failed. Returns how many. Throws KERNEL_CHAIN where the chain is not failed. */
  resume(): Promise<number>
  /**
   * Ends it where it is: it fails with KERNEL_ABORTED, and can be resumed. Writes of a step that was committed may still be applied.
   * Returns whether it had not ended before.
   */
  abort(): Promise<boolean>
}

export interface ChainClient {
  readonly deployment: Deployment
  readonly namespace: string
  readonly ends: ChainEnds
}

const pageRows = 1000
const longestTrace = 10_000
const abortedKeepMs = 24 * 60 * 60 * 1000

/** The lane that a chain's id names; ids that users choose live in the first one. */
export function laneOfChain(namespace: string, id: string): ChainLane {
  return chainLane(namespace, laneNamed(id) ?? 'gm0')
}

/** The tag of the lane that an id ends in. */
export function laneNamed(id: string): string | undefined {
  return /-(gm\d+)$/.exec(id)?.[1]
}

export class StartedChain<T> implements Chain<T> {
  readonly id: string
  readonly #client: ChainClient
  readonly #lane: ChainLane

  constructor(id: string, client: ChainClient) {
    this.id = id
    this.#client = client
    this.#lane = laneOfChain(client.namespace, id)
  }

  get #key(): string {
    return this.#lane.chain(this.id)
  }

  async #fields(...names: string[]): Promise<readonly Reply[]> {
    return itemsOf(await this.#client.deployment.command(this.#key, ['HMGET', this.#key, ...names], { binary: true }))
  }

  async done(options?: { readonly signal?: AbortSignal }): Promise<T> {
    const signal = checkWait(options)
    const { ends } = this.#client
    await ends.follow(this.#lane)
    for (;;) {
      signal?.throwIfAborted()
      const end = ends.next(this.id)
      try {
        const [state, result, error] = await this.#fields('state', 'result', 'error')
        if (state === null || state === undefined) throw this.#unknown()
        if (textOf(state) === 'done') return unpackValue(result as Buffer) as T
        if (textOf(state) === 'failed') throw kernelErrorOf(JSON.parse(textOf(error)) as StepFailure)
        if (ends.closed) throw new ConnectError('CONNECT_CLOSED', 'the connection was closed')
        await end.come(signal)
      } finally {
        end.forget()
      }
    }
  }

  async status(): Promise<ChainStatus> {
    const { deployment } = this.#client
    const fields = new Map(
      pairsOf(await deployment.command(this.#key, ['HGETALL', this.#key], { binary: true })).map(
        ([name, value]) => [textOf(name), value as Buffer] as const,
      ),
    )
    if (!fields.has('state')) throw this.#unknown()
    const trace = this.#lane.trace(this.id)
    const kept = numberOf(await deployment.command(trace, ['LLEN', trace]))
    const next: string[] = []
    let waiting = 0
    let strands = 0
    for (const [name, value] of fields) {
      if (!/^s\d/.test(name)) continue
      const strand = decodeStrand(value)
      if (strand.owner === 'J' || strand.owner === 'F') continue
      strands += 1
      if (strand.phase === 'r') next.push(decodeCall(strand.payload).name)
      if (strand.owner !== '-') continue
      const member = `${name.slice(1)}.${this.id}`
      const due = `${this.#lane.base}:chains:due`
      const aside = fields.has(`k${name.slice(1)}`)
        ? 'waits'
        : await deployment.command(due, ['ZSCORE', due, member], { binary: true })
      if (aside !== null) waiting += 1
    }
    const state = textOf(fields.get('state'))
    const error = fields.get('error')
    const ended = fields.get('ended')
    return {
      id: this.id,
      state: state === 'running' && strands > 0 && waiting === strands ? 'waiting' : (state as ChainState),
      steps: kept + numberOf(fields.get('cut') ?? '0'),
      next,
      created: numberOf(fields.get('created')),
      ended: ended === undefined ? undefined : numberOf(ended),
      error: error === undefined ? undefined : kernelErrorOf(JSON.parse(error.toString()) as StepFailure),
    }
  }

  async trace(): Promise<TraceEntry[]> {
    const { deployment } = this.#client
    const key = this.#lane.trace(this.id)
    const entries: TraceEntry[] = []
    for (;;) {
      const page = ['LRANGE', key, entries.length, entries.length + pageRows - 1]
      const rows = itemsOf(await deployment.command(key, page, { binary: true }))
      entries.push(...rows.map((row) => entryOf(unpackValue(row as Buffer) as TraceRow)))
      if (rows.length < pageRows) break
    }
    if (entries.length === 0 && (await this.#fields('state'))[0] === null) throw this.#unknown()
    // The server cuts a longer one from time to time.
    return entries.slice(-longestTrace)
  }

  async resume(): Promise<number> {
    const { deployment } = this.#client
    const again = numberOf(await deployment.call('chain_resume', [this.#lane.base], [this.id]))
    if (again === -1) throw this.#unknown()
    if (again === -2) {
      const message = `chain ${this.id} is not failed: only failed chains can be resumed`
      throw new KernelError('KERNEL_CHAIN', message, { kernel: '', chain: this.id })
    }
    return again
  }

  async abort(): Promise<boolean> {
    const { deployment } = this.#client
    const message = 'the chain was aborted'
    const failure: StepFailure = { code: 'KERNEL_ABORTED', message, chain: this.id, kernel: '', version: '', step: 0 }
    const args = [this.id, JSON.stringify(failure), JSON.stringify({ error: failure }), abortedKeepMs]
    const aborted = numberOf(await deployment.call('chain_abort', [this.#lane.base], args))
    if (aborted === -1) throw this.#unknown()
    return aborted === 1
  }

  #unknown(): KernelError {
    const message = `there is no chain ${this.id}: it expired, or never was`
    return new KernelError('KERNEL_CHAIN', message, { kernel: '', chain: this.id })
  }
}

function entryOf(row: TraceRow): TraceEntry {
  const [branch, step, attempt, kernel, version, started, took, executor, inputs, writes, log, next, failure] = row
  return {
    step,
    attempt,
    branch,
    kernel,
    version,
    inputs,
    writes,
    next,
    log: log.map(([level, text]) => ({ level, text })),
    started,
    ended: started + took,
    executor,
    error: failure === null ? undefined : kernelErrorOf(failure),
  }
}

export function kernelErrorOf(failure: StepFailure): KernelError {
  const { code, message, kernel, version, chain, step, line, module, hint, cause, log = [] } = failure
  const known = (code in catalogue ? code : 'KERNEL_THREW') as ErrorCode as KernelError['code']
  return new KernelError(
    known,
    message,
    { kernel, version, chain, step, line, module, log },
    {
      ...(hint === undefined ? {} : { hint }),
      ...(cause === undefined ? {} : { cause: thrownOf(cause) }),
    },
  )
}
