// What a trigger does with a batch of events. Local operations run in one loop that knows which event each value came from, so
// that a failure and an effect belong to an event. Where the pipeline gathers (groupBy, sort, a sink that publishes), the
// part from there on runs over the whole batch, and its effects and failures belong to all its events.
import type { Command, Environment, Failure, Program } from '../../engine/runner.ts'
import { ModelError, PlanError } from '../../errors.ts'
import { builtins } from '../../pipeline/builtins.ts'
import {
  defineReader,
  type BatchStep,
  type Definition,
  type ReadBatch,
  type RunContext,
  type Step,
} from '../../pipeline/define.ts'
import { failureOf } from '../../pipeline/failures.ts'
import { Chain } from '../../pipeline/fusion.ts'
import { window, type WindowStep } from '../../pipeline/operations/window.ts'
import type { StageProgram, StepProgram } from '../../pipeline/program.ts'
import { brief } from '../../pipeline/shown.ts'
import { StageTask } from '../../pipeline/stage/task.ts'
import { closeValues, loadValues } from '../../pipeline/values.ts'
import { BatchTask } from './batch-task.ts'

export interface BatchOutcome {
  /** By position of the event. */
  readonly failures: Map<number, Failure>
  /** Commands of each event. */
  readonly effects: (Command[] | undefined)[]
  /** Commands of the batch as a whole. */
  readonly together: readonly Command[]
  /** What the last function gave for each event: of calls. */
  readonly results: unknown[]
  /** Until when each event waits for others of its window, in milliseconds since the epoch. */
  readonly waits?: readonly (number | undefined)[]
}

export interface BatchProgramOptions {
  readonly name: string
  readonly stages: readonly StageProgram[]
  readonly program: Program
  readonly environment: Environment
}

/** Of a Date, in milliseconds since the epoch. */
const latestTime = 8.64e15

type WindowTime = (value: unknown, values: unknown) => unknown

interface Windowing {
  readonly step: WindowStep
  readonly by: WindowTime
  readonly values: unknown
}

interface Bound {
  readonly step: Step | BatchStep
  readonly values: unknown
  readonly call: StepProgram
}

export class BatchProgram {
  readonly #options: BatchProgramOptions
  readonly #signal: AbortSignal
  readonly #loaded = new Map<number, object>()
  #chain!: Chain
  /** Of steps that have to find something before a batch. */
  #ready: { readonly run: () => Promise<void>; readonly call: StepProgram }[] = []
  #sink: ((value: unknown) => readonly Command[]) | undefined
  #sinkCall!: StepProgram
  #keepsResults = false
  #window: Windowing | undefined
  /** What runs over whole batches. */
  #rest: readonly StageProgram[] = []
  #failures = new Map<number, Failure>()
  #effects: (Command[] | undefined)[] = []
  #results: unknown[] = []
  #values: unknown[] = []
  #origins: number[] = []

  private constructor(options: BatchProgramOptions, signal: AbortSignal) {
    this.#options = options
    this.#signal = signal
  }

  static async open(options: BatchProgramOptions, signal: AbortSignal): Promise<BatchProgram> {
    const opened = new BatchProgram(options, signal)
    await opened.#load()
    opened.#build()
    await opened.#checkRuntime()
    return opened
  }

  /** A trigger that is one function: it gets what `argumentsOf` makes of an event, and its result is kept. */
  static ofFunction(
    options: BatchProgramOptions,
    signal: AbortSignal,
    f: (event: unknown) => unknown,
    call: StepProgram,
  ): BatchProgram {
    const opened = new BatchProgram(options, signal)
    opened.#sinkCall = call
    opened.#keepsResults = true
    opened.#chain = opened.#chainOf([{ step: { shape: 'map', call: f }, values: undefined, call }])
    return opened
  }

  async #load(): Promise<void> {
    const steps = this.#options.stages.flatMap((stage) => [
      ...stage.local,
      ...(stage.target.kind === 'result' ? [] : [stage.target.call]),
    ])
    for (const { values } of steps) {
      if (values === undefined || this.#loaded.has(values)) continue
      this.#loaded.set(values, await loadValues(this.#options.program.functions[values] as object))
    }
  }

  #build(): void {
    const [first, ...others] = this.#options.stages as [StageProgram, ...StageProgram[]]
    const bound: Bound[] = []
    let at = 0
    for (; at < first.local.length; at++) {
      const call = first.local[at] as StepProgram
      const definition = this.#definition(call)
      if (definition.kind !== 'local') break
      if (definition === window) {
        const [by] = this.#functions(call)
        this.#window = { step: call.options as WindowStep, by: by as WindowTime, values: this.#valuesOf(call) }
        at += 1
        break
      }
      const step = definition.step(call.options, this.#functions(call), this.#context(call))
      if (step.shape === 'gather') break
      bound.push({ step, values: this.#valuesOf(call), call })
    }
    const { target } = first
    this.#sinkCall = target.kind === 'result' ? first.source.call : target.call
    const sink = target.kind === 'effects' ? this.#definition(target.call) : undefined
    if (
      this.#window === undefined &&
      at === first.local.length &&
      others.length === 0 &&
      (target.kind === 'result' || sink?.kind === 'sink')
    ) {
      if (sink?.kind === 'sink' && target.kind === 'effects') {
        const { call } = target
        const functions = this.#functions(call)
        for (const step of sink.steps?.(call.options, functions) ?? []) {
          bound.push({ step, values: this.#valuesOf(call), call })
        }
        this.#sink = (value) => sink.effects?.(call.options, value, functions) ?? []
      }
    } else {
      const { text: _, ...plain } = first
      this.#rest = [{ ...plain, local: first.local.slice(at) }, ...others.map(({ text: __, ...stage }) => stage)]
    }
    this.#chain = this.#chainOf(bound)
  }

  /** Where models cannot run at all, another worker may have what it takes. Throws MODEL_RUNTIME. */
  async #checkRuntime(): Promise<void> {
    for (const { run } of this.#ready) {
      try {
        await run()
      } catch (error) {
        if (error instanceof ModelError && error.code === 'MODEL_RUNTIME') throw error
      }
    }
  }

  #chainOf(bound: readonly Bound[]): Chain {
    this.#ready = bound.flatMap(({ step, call }) =>
      step.shape === 'batch' && step.ready !== undefined ? [{ run: step.ready, call }] : [],
    )
    return new Chain(
      bound.map(({ step, values }) => ({ ...step, values })),
      (value, origin) => this.#emit(value, origin),
      (index, record, origin, thrown) => {
        this.#failures.set(origin, this.#failure(bound[index]?.call ?? this.#sinkCall, thrown, record))
      },
    )
  }

  #emit(value: unknown, origin: number): void {
    if (this.#rest.length > 0) {
      this.#values.push(value)
      this.#origins.push(origin)
    } else if (this.#sink !== undefined) {
      try {
        const commands = this.#sink(value)
        if (commands.length === 0) return
        const before = this.#effects[origin]
        if (before === undefined) this.#effects[origin] = commands as Command[]
        else this.#effects[origin] = [...before, ...commands]
      } catch (thrown) {
        this.#failures.set(origin, this.#failure(this.#sinkCall, thrown, value))
      }
    } else if (this.#keepsResults) {
      this.#results[origin] = value
    }
  }

  #failure(call: StepProgram, thrown: unknown, record: unknown): Failure {
    const { text, place, stack } = call
    return {
      ...failureOf(thrown, { record, operation: text, site: { place, stack } }),
      worker: this.#options.environment.worker,
    }
  }

  /** Runs a batch. One at a time. */
  async run(records: readonly unknown[]): Promise<BatchOutcome> {
    const failures = (this.#failures = new Map<number, Failure>())
    const effects = (this.#effects = new Array<Command[] | undefined>(records.length))
    const results = (this.#results = new Array<unknown>(this.#keepsResults ? records.length : 0))
    this.#values = []
    this.#origins = []
    await this.#runChain(records)
    for (const origin of failures.keys()) effects[origin] = undefined
    const together = this.#rest.length > 0 ? await this.#runRest(records.length) : []
    return { failures, effects, together, results }
  }

  async #runChain(records: readonly unknown[]): Promise<void> {
    for (const { run, call } of this.#ready) {
      try {
        await run()
      } catch (thrown) {
        // It may be there when they are tried again.
        for (const [i, record] of records.entries()) this.#failures.set(i, this.#failure(call, thrown, record))
        return
      }
    }
    const running = this.#chain.run(records, 0, records.length)
    if (running !== undefined) await running
  }

  /** How events are put into windows, if they are. */
  get window(): WindowStep | undefined {
    return this.#window?.step
  }

  /**
   * Finds the windows of events: `waits`. What came too late, or does not get as far as window(), waits for nothing.
   * @param arrivals in milliseconds since the epoch
   * @param mark the latest time of an event that was seen before; gives that of now
   * @param keepsLate events of windows that are over wait for those, too
   */
  async assign(
    records: readonly unknown[],
    arrivals: readonly number[],
    mark: number,
    keepsLate: boolean,
  ): Promise<BatchOutcome & { readonly mark: number; readonly late: number }> {
    const { step, by, values } = this.#window as Windowing
    const failures = (this.#failures = new Map<number, Failure>())
    this.#values = []
    this.#origins = []
    await this.#runChain(records)
    const waits = new Array<number | undefined>(records.length)
    let latest = mark
    let late = 0
    for (const [i, value] of this.#values.entries()) {
      const origin = this.#origins[i] as number
      if (failures.has(origin) || waits[origin] !== undefined) continue
      try {
        const time = step.by ? timeOf(by(value, values)) : (arrivals[origin] as number)
        latest = Math.max(latest, time)
        const end = (Math.floor(time / step.tumbling) + 1) * step.tumbling + step.lateMs
        if (step.by && end <= mark && !keepsLate) late += 1
        else waits[origin] = end
      } catch (thrown) {
        failures.set(origin, this.#failure(this.#sinkCall, thrown, value))
      }
    }
    return { failures, effects: [], together: [], results: [], waits, mark: latest, late }
  }

  async #runRest(count: number): Promise<readonly Command[]> {
    // Of an event that failed half way nothing goes on.
    const values = this.#values.filter((_, i) => !this.#failures.has(this.#origins[i] as number))
    if (values.length === 0) return []
    const { name, program, environment } = this.#options
    const reader = defineReader({
      name: 'events',
      describe: () => 'events',
      splits: async () => ({ count: 1, data: null }),
      async *read(): AsyncIterable<ReadBatch> {
        yield { batch: { kind: 'records', records: values } }
      },
    })
    const functions = [...program.functions, reader]
    let task = new BatchTask(name, environment.worker, this.#signal)
    for (const [index, stage] of this.#rest.entries()) {
      if (index > 0) task = task.next()
      const run =
        index > 0 || stage.source.kind !== 'reader'
          ? stage
          : { ...stage, source: { ...stage.source, call: { ...stage.source.call, definition: functions.length - 1 } } }
      try {
        const shipped = { ...program, functions }
        await new StageTask(run, task, { strict: true, program: shipped, environment, values: this.#loaded }).run()
      } catch (thrown) {
        task.fail(this.#failure(this.#sinkCall, thrown, undefined))
      }
      const failure = task.failures[0]
      if (failure === undefined) continue
      for (let i = 0; i < count; i++) if (!this.#failures.has(i)) this.#failures.set(i, failure)
      return []
    }
    return task.effects
  }

  #context(call: StepProgram): RunContext {
    return {
      task: new BatchTask(this.#options.name, this.#options.environment.worker, this.#signal),
      environment: this.#options.environment,
      fail: (thrown, record) => {
        this.#failures.set(-1, this.#failure(call, thrown, record))
      },
    }
  }

  #functions(call: StepProgram): readonly unknown[] {
    return call.functions.map((index) => this.#options.program.functions[index])
  }

  #valuesOf(call: StepProgram): unknown {
    return call.values === undefined ? undefined : this.#loaded.get(call.values)
  }

  #definition(call: StepProgram): Definition {
    const definition = (
      call.definition === undefined ? builtins.get(call.name) : this.#options.program.functions[call.definition]
    ) as Definition | undefined
    if (definition === undefined) {
      throw new PlanError('PLAN_OPTION', `this worker has nothing called ${call.name}: its version is another one`)
    }
    return definition
  }

  async close(): Promise<void> {
    for (const [index, loaded] of this.#loaded) {
      await closeValues(this.#options.program.functions[index] as object, loaded)
    }
    this.#loaded.clear()
  }
}

function timeOf(value: unknown): number {
  const time = value instanceof Date ? value.getTime() : value
  if (typeof time === 'number' && time >= 0 && time <= latestTime) return time
  throw new PlanError('PLAN_RECORD', `window: expected by to give milliseconds or a Date, got ${brief(value)}`)
}
