// Runs batches of a seat through the trigger's functions: beside those of other seats, or, where one of its records ended a
// process before, one record by one. Records that could not be read are not run; they fail.
import type { Command } from '../../engine/runner.ts'
import type { KeyEvent } from '../../pipeline/readers/events.ts'
import type { TriggerOptions } from '../options.ts'
import { placeName } from '../position.ts'
import type { Culprit, Running, SeatOrder, Suspects } from '../protocol.ts'
import type { BatchOutcome, BatchProgram } from './batch-program.ts'
import { timeOf, type EventBatch } from './event-batch.ts'
import type { Gate } from './gate.ts'
import type { LoopBreaker } from './loop-breaker.ts'

export interface RunsOptions {
  readonly order: SeatOrder
  readonly trigger: TriggerOptions
  readonly program: BatchProgram
  readonly gate: Gate
  readonly breaker?: LoopBreaker
  /** Notes what runs, for whoever finds this process dead. */
  readonly running: (running: Omit<Running, 'id'> | undefined) => void
}

type Assigned = Awaited<ReturnType<BatchProgram['assign']>>

export class Runs {
  readonly #options: RunsOptions
  #culprits: readonly Culprit[]

  constructor(options: RunsOptions) {
    this.#options = options
    this.#culprits = options.order.culprits
  }

  run(batch: EventBatch): Promise<BatchOutcome> {
    return this.#isSuspect(batch) ? this.#runAlone(batch) : this.#runTogether(batch)
  }

  /** A batch is committed: those of its records that were found to end their process run again when they come again. */
  settle(batch: EventBatch): readonly string[] {
    if (this.#culprits.length === 0) return []
    const names = new Set(batch.ids.map((_, i) => placeName(batch.field(i))))
    const settled = this.#culprits.map(({ field }) => field).filter((field) => names.has(field))
    this.#culprits = this.#culprits.filter(({ field }) => !names.has(field))
    return settled
  }

  /** Finds the windows of events. Those that are tried again are not left out, however late. */
  async assign(batch: EventBatch, mark: number): Promise<Assigned> {
    const { gate, program } = this.#options
    const leave = await gate.enter(false)
    this.#note(batch)
    const arrivals = batch.ids.map(timeOf)
    try {
      const keepsLate = batch.mode === 'again'
      if (batch.unreadable === undefined) return await program.assign(batch.records, arrivals, mark, keepsLate)
      const places = readable(batch)
      const times = places.map((i) => arrivals[i] as number)
      const outcome = await program.assign(recordsAt(batch, places), times, mark, keepsLate)
      const waits: (number | undefined)[] = []
      for (const [k, i] of places.entries()) waits[i] = outcome.waits?.[k]
      return { ...outcome, ...placed(outcome, batch, places), waits }
    } finally {
      this.#options.running(undefined)
      leave()
    }
  }

  #note(batch: EventBatch, alone?: string): void {
    const { running, trigger } = this.#options
    const { timeoutMs } = trigger
    const noted = { suspects: suspectsOf(batch), since: Date.now(), timeoutMs }
    running(alone === undefined ? noted : { ...noted, alone })
  }

  async #runTogether(batch: EventBatch): Promise<BatchOutcome> {
    const { gate, program, running, breaker } = this.#options
    const leave = await gate.enter(false)
    this.#note(batch)
    breaker?.begin((batch.records as readonly (KeyEvent | undefined)[]).flatMap((event) => event?.key ?? []))
    try {
      const places = batch.unreadable === undefined ? undefined : readable(batch)
      const outcome = await program.run(places === undefined ? batch.records : recordsAt(batch, places))
      await turn()
      return places === undefined ? outcome : placed(outcome, batch, places)
    } finally {
      running(undefined)
      leave()
    }
  }

  #isSuspect(batch: EventBatch): boolean {
    const { suspects } = this.#options.order
    const culprits = this.#culprits
    if (suspects.length + culprits.length === 0) return false
    return (
      culprits.some(({ field }) => batch.ids.some((_, i) => placeName(batch.field(i)) === field)) ||
      suspects.some(
        ({ stream, mode, first, last }) =>
          stream === placeName(batch.stream) &&
          mode === batch.mode &&
          (mode === 'again' || batch.ids.some((id) => !isBefore(id, first) && !isBefore(last, id))),
      )
    )
  }

  /** One of these records ended a process: each runs by itself, but those that are known to. */
  async #runAlone(batch: EventBatch): Promise<BatchOutcome> {
    const { gate, program, running } = this.#options
    const whole: BatchOutcome = { failures: new Map(batch.unreadable), effects: [], together: [], results: [] }
    const together: Command[] = []
    const leave = await gate.enter(true)
    try {
      for (const [i, record] of batch.records.entries()) {
        if (whole.failures.has(i)) continue
        const alone = placeName(batch.field(i))
        const culprit = this.#culprits.find(({ field }) => field === alone)
        if (culprit !== undefined) {
          whole.failures.set(i, culprit.failure)
          continue
        }
        this.#note(batch, alone)
        const one = await program.run([record])
        await turn()
        const failure = one.failures.get(0)
        if (failure !== undefined) whole.failures.set(i, failure)
        whole.effects[i] = one.effects[0]
        whole.results[i] = one.results[0]
        together.push(...one.together)
      }
    } finally {
      running(undefined)
      leave()
    }
    return { ...whole, together }
  }
}

/** What functions leave behind that ends the process at once, such as a rejected promise, does so while they are noted. */
function turn(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve))
}

function readable({ records, unreadable }: EventBatch): number[] {
  return [...records.keys()].filter((i) => unreadable?.has(i) !== true)
}

function recordsAt({ records }: EventBatch, places: readonly number[]): unknown[] {
  return places.map((i) => records[i])
}

/** What came of some records of a batch, in their places in the whole. */
function placed(outcome: BatchOutcome, { unreadable }: EventBatch, places: readonly number[]): BatchOutcome {
  const failures = new Map(unreadable)
  for (const [k, failure] of outcome.failures) failures.set(places[k] ?? k, failure)
  const effects: (Command[] | undefined)[] = []
  const results: unknown[] = []
  for (const [k, i] of places.entries()) {
    effects[i] = outcome.effects[k]
    if (k in outcome.results) results[i] = outcome.results[k]
  }
  return { ...outcome, failures, effects, results }
}

function suspectsOf(batch: EventBatch): Suspects {
  const { stream, mode, ids } = batch
  // Events that are tried again come in no order.
  const [first = '', last = ''] = mode === 'new' ? [ids[0], ids.at(-1)] : []
  return { stream: placeName(stream), mode, first, last }
}

function isBefore(a: string, b: string): boolean {
  const [a1 = '', a2 = ''] = a.split('-')
  const [b1 = '', b2 = ''] = b.split('-')
  return a1 === b1 ? BigInt(a2 || 0) < BigInt(b2 || 0) : BigInt(a1) < BigInt(b1)
}
