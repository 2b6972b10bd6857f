// One task of a stage.
import { type Batch, lengthOf, toRecords } from '../codec/batch.ts'
import { decodeBatch } from '../codec/frames.ts'
import { errorIn } from '../engine/failure.ts'
import type { Environment, Failure, Phase, Program, TaskContext } from '../engine/runner.ts'
import { ModelError, PlanError } from '../errors.ts'
import type { Counter } from '../native/text/counter.ts'
import { builtins } from './builtins.ts'
import { EffectCollector, ResultCollector } from './collectors.ts'
import type {
  BatchStep,
  Beside,
  Collector,
  Definition,
  Gather,
  MergeContext,
  MergeInput,
  Order,
  ReadBatch,
  RunContext,
  Step,
} from './define.ts'
import { completed, failureOf } from './failures.ts'
import { batchesOfReader, checkStep, checkedCommands } from './foreign.ts'
import { Chain, ChainMemory } from './fusion.ts'
import { Phases } from './phases.ts'
import {
  type Cut,
  RangeCollector,
  SampleCollector,
  cutsOf,
  recordsPartition,
  samplesPartition,
} from './shuffle/ranges.ts'
import type { StageProgram, StepProgram } from './program.ts'

// Records that go through the loop at once: as many as make about this many at its end.
const mostTogether = 1000
const fewest = 16
const most = 8 * 1024

interface Bound {
  readonly step: Step | BatchStep
  readonly values: unknown
  readonly call: StepProgram
}

/** What is behind a chain. */
interface End {
  /** What its time belongs to. */
  readonly phase: Phase
  drain(): Promise<void> | undefined
  /** No further record is wanted. */
  isFull?(): boolean
  /** Takes a batch in columns as it is; undefined where it wants the records one by one. */
  take?(batch: Batch): Promise<void> | undefined
}

interface Gathering {
  readonly gather: Gather
  readonly values: unknown
  readonly call: StepProgram
}

/** Steps that run in one loop, and the gathering one behind them. */
interface Group {
  readonly steps: Bound[]
  gathering?: Gathering
}

/** Of the chains of a stage, for its next task. */
const memories = new WeakMap<StageProgram, ChainMemory[]>()

interface Pending {
  readonly call: StepProgram
  readonly thrown: unknown
  readonly record: unknown
  readonly origin: number
}

/** Runs one task: batches from its source, through the fused chain, into its collector. */
export class StageTask {
  readonly #stage: StageProgram
  readonly #strict: boolean
  readonly #program: Program
  readonly #environment: Environment
  readonly #values: ReadonlyMap<number, unknown>
  readonly #task: TaskContext
  // Failures of the records that are in the loop: reported when it is left, with the place of their record.
  #failures: Pending[] = []
  #position = 0
  #out = 0
  readonly #phases = new Phases()
  // Failed records of this task.
  #failed = 0
  readonly #prepared: Map<number, Promise<unknown>>

  constructor(
    stage: StageProgram,
    strict: boolean,
    program: Program,
    environment: Environment,
    values: ReadonlyMap<number, unknown>,
    task: TaskContext,
    /** What operations made of whole stages, by stage, kept for the tasks that follow. */
    prepared: Map<number, Promise<unknown>> = new Map(),
  ) {
    this.#prepared = prepared
    this.#stage = stage
    this.#strict = strict
    this.#program = program
    this.#environment = environment
    this.#values = values
    this.#task = task
  }

  async run(): Promise<void> {
    const collector = await this.#collector()
    const groups = await this.#groups()
    for (const { steps } of groups) for (const { step } of steps) if (step.shape === 'batch') await step.ready?.()
    // Each gathering step ends a chain; what it gives at the end of the input starts the next one.
    let batches = this.#batches(groups.length === 1 && groups[0]?.steps.length === 0 ? collector.texts : undefined)
    for (const [i, group] of groups.entries()) {
      const last = i === groups.length - 1
      const { steps, gathering } = group
      if (gathering === undefined || last) await this.#flow(batches, steps, collector, i)
      else batches = await this.#gather(batches, steps, gathering, i)
    }
    await collector.end()
    this.#phases.end(this.#output)
    await this.#report(undefined)
    this.#task.count({ spent: this.#phases.spent })
  }

  /** Runs batches through a chain into the collector. */
  async #flow(
    batches: AsyncIterable<ReadBatch>,
    steps: readonly Bound[],
    collector: Collector,
    group: number,
  ): Promise<void> {
    const last = this.#stage.target.kind === 'result' ? undefined : this.#stage.target.call
    const chain = this.#chain(group, steps, (value, origin) => {
      try {
        collector.add(value)
        this.#out++
      } catch (thrown) {
        this.#failures.push({ call: last ?? this.#stage.source.call, thrown, record: value, origin })
      }
    })
    const calls = [...steps.map(({ call }) => call), ...(last === undefined ? [] : [last])]
    await this.#drive(batches, chain, group === 0 ? calls : undefined, {
      phase: this.#output,
      drain: () => collector.drain(),
      isFull: () => collector.full === true,
      ...(steps.length === 0 && collector.addBatch !== undefined
        ? { take: (batch: Batch) => collector.addBatch?.(batch) }
        : {}),
    })
  }

  /** Runs batches through a chain into a gathering step; gives what the step made of them. */
  async #gather(
    batches: AsyncIterable<ReadBatch>,
    steps: readonly Bound[],
    { gather, values, call }: Gathering,
    group: number,
  ): Promise<AsyncIterable<ReadBatch>> {
    let gathered: unknown[] = []
    const chain = this.#chain(group, steps, (value) => {
      gathered.push(value)
    })
    const drain = async (): Promise<void> => {
      const records = gathered
      gathered = []
      for (const record of records) {
        const adding = gather.add(record, values)
        if (adding !== undefined) await adding
      }
    }
    await this.#drive(batches, chain, group === 0 ? [...steps.map((step) => step.call), call] : undefined, {
      phase: 'user',
      drain,
    })
    return (async function* () {
      for await (const records of gather.end()) yield { batch: { kind: 'records' as const, records: [...records] } }
    })()
  }

  /** `calls` are those that a record is guarded in: none where its like are not counted. */
  async #drive(
    batches: AsyncIterable<ReadBatch>,
    chain: Chain,
    calls: readonly StepProgram[] | undefined,
    end: End,
  ): Promise<void> {
    const guarded = calls !== undefined
    let killed: Failure | undefined
    const found = (failure: Failure): void => void (killed = failure)
    const guard = (index: number, count: number): number => (guarded ? this.#task.guard(index, count, found) : count)
    // A step that takes records together is not given fewer than it wants, while there are as many.
    const wanted = chain.wants
    let together = Math.max(fewest, wanted)
    for await (const read of batches) {
      this.#phases.end(this.#waits)
      if (read.taken !== undefined) {
        this.#task.signal.throwIfAborted()
        const draining = end.drain()
        if (draining !== undefined) await draining
        this.#phases.end(end.phase)
        this.#out += read.taken
        this.#advance(read.taken, guarded)
        continue
      }
      const length = lengthOf(read.batch)
      if (end.take !== undefined && read.batch.kind !== 'records' && guard(this.#position, length) === length) {
        this.#task.signal.throwIfAborted()
        const taking = end.take(read.batch)
        if (taking !== undefined) {
          await taking
          this.#phases.end(end.phase)
          this.#out += length
          this.#advance(length, guarded)
          continue
        }
      }
      killed = undefined
      const records = toRecords(read.batch)
      for (let from = 0; from < length;) {
        this.#task.signal.throwIfAborted()
        const allowed = guard(this.#position + from, Math.min(together, length - from))
        if (allowed === 0) {
          if (killed !== undefined) this.#failFound(killed, calls ?? [], records[from], await read.place?.(from))
          killed = undefined
          from++
          continue
        }
        const before = this.#out
        const running = chain.run(records, from, from + allowed)
        if (running !== undefined) await running
        this.#phases.end('user')
        if (this.#failures.length > 0) await this.#report(read)
        const draining = end.drain()
        if (draining !== undefined) await draining
        this.#phases.end(end.phase)
        from += allowed
        if (end.isFull?.() === true) {
          this.#advance(from, guarded)
          return
        }
        const made = this.#out - before
        if (made > most) together = Math.max(1, wanted, together >> 1)
        else if (made < most / 4) together = Math.min(Math.max(mostTogether, wanted), together * 2)
      }
      this.#advance(length, guarded)
    }
    this.#phases.end(this.#waits)
  }

  /** What the time belongs to that this stage waits for its input. */
  get #waits(): Phase {
    const { kind } = this.#stage.source
    return kind === 'reader' ? 'reader' : kind === 'publish' ? 'sink' : 'shuffle'
  }

  /** And that it takes to write what comes out. */
  get #output(): Phase {
    const { kind } = this.#stage.target
    return kind === 'shuffle' || kind === 'samples' || kind === 'cuts' ? 'shuffle' : 'sink'
  }

  /** Counts the records of a batch that was gone through. */
  #advance(records: number, guarded: boolean): void {
    this.#position += records
    this.#task.count({ in: guarded ? records : 0, out: this.#out })
    this.#out = 0
  }

  #chain(group: number, steps: readonly Bound[], emit: (value: unknown, origin: number) => void): Chain {
    const chains = memories.get(this.#stage) ?? []
    memories.set(this.#stage, chains)
    return new Chain(
      steps.map(({ step, values }) => boundStep(step, values)),
      emit,
      (index, record, origin, thrown) => {
        this.#failures.push({ call: (steps[index] as Bound).call, thrown, record, origin })
      },
      (chains[group] ??= new ChainMemory()),
    )
  }

  async #report(read: ReadBatch | undefined): Promise<void> {
    const failures = this.#failures
    this.#failures = []
    for (const { call, thrown, record, origin } of failures) {
      this.#fail(call, thrown, record, await read?.place?.(origin))
    }
  }

  #fail(call: StepProgram, thrown: unknown, record: unknown, place: string | undefined): void {
    const error = errorIn(thrown)
    // Not the record's fault: another worker may have what this one lacks.
    if (error instanceof ModelError && error.code === 'MODEL_RUNTIME') throw error
    this.#failed++
    this.#task.fail(
      failureOf(thrown, {
        record,
        place: place ?? `stage ${this.#task.stage}, task ${this.#task.task}`,
        operation: call.text,
        site: { place: call.place, stack: call.stack },
      }),
    )
  }

  /** A record that the engine found or refused. Which of the functions it was nobody knows: all are named, with the first one's place. */
  #failFound(failure: Failure, calls: readonly StepProgram[], record: unknown, place: string | undefined): void {
    const suspects = calls.filter(({ functions }) => functions.length > 0)
    const { place: written, stack } = suspects[0] ?? this.#stage.source.call
    this.#failed++
    this.#task.fail(
      completed(failure, {
        record,
        ...(place === undefined ? {} : { place }),
        ...(suspects.length > 0 ? { operation: suspects.map(({ text }) => text).join(' > ') } : {}),
        site: { place: written, stack },
      }),
    )
  }

  #context(call: StepProgram): RunContext {
    return {
      task: this.#task,
      environment: this.#environment,
      fail: (thrown, record, place) => this.#fail(call, thrown, record, place),
    }
  }

  /** The local steps, cut behind each gathering one, with those that the target puts in front of itself. */
  async #groups(): Promise<Group[]> {
    const groups: Group[] = [{ steps: [] }]
    const current = (): Group => groups.at(-1) as Group
    const { local, text } = this.#stage
    for (const call of local.slice(0, local.length - (text?.steps ?? 0))) {
      const definition = this.#definition(call, 'local')
      const context = this.#context(call)
      const beside = call.beside === undefined ? undefined : await this.#besideOf(call, call.beside)
      const step = definition.step(call.options, this.#functions(call), context, beside)
      if (call.definition !== undefined) checkStep(call, step)
      const values = call.values === undefined ? undefined : this.#values.get(call.values)
      if (step.shape !== 'gather') current().steps.push({ step, values, call })
      else {
        current().gathering = { gather: step, values, call }
        groups.push({ steps: [] })
      }
    }
    const { source, target } = this.#stage
    // Records that are sent on to their ranges went through the steps before.
    if (target.kind === 'result' || source.kind === 'ranges' || target.kind === 'cuts') return groups
    const { call } = target
    const isShuffle = target.kind === 'shuffle' || target.kind === 'samples'
    const definition = this.#definition(call, isShuffle ? 'global' : 'sink')
    const values = call.values === undefined ? undefined : this.#values.get(call.values)
    for (const step of definition.steps?.(call.options, this.#functions(call), 'side' in target ? target.side : 0) ??
      []) {
      current().steps.push({ step, values, call })
    }
    return groups
  }

  /** A stage as a whole: read once for all tasks of this executor. */
  async #besideOf(call: StepProgram, index: number): Promise<Beside> {
    const stage = this.#input(index, 0)
    let preparing = this.#prepared.get(index)
    if (preparing === undefined) {
      preparing = this.#definition(call, 'local').prepare?.(call.options, stage, this.#context(call))
      if (preparing === undefined) throw new PlanError('PLAN_OPTION', `${call.name} looks at no other stage`)
      this.#prepared.set(index, preparing)
      // The next attempt tries again.
      preparing.catch(() => this.#prepared.delete(index))
    }
    return { prepared: await preparing, stage }
  }

  /** @param texts where readers may put text themselves */
  #batches(texts: Counter | undefined): AsyncIterable<ReadBatch> {
    const { source, target } = this.#stage
    const { call } = source
    // After a death records go through the guard, which finds the one that kills.
    const context = { ...this.#context(call), texts: this.#task.attempt === 1 ? texts : undefined }
    if (source.kind === 'reader') {
      const split = { index: this.#task.task, data: source.data }
      const definition = this.#definition(call, 'reader')
      const read = (): AsyncIterable<ReadBatch> => definition.read(call.options, split, context, this.#functions(call))
      // Those of users give arrays.
      return call.definition === undefined ? read() : batchesOfReader(call, read)
    }
    if (source.kind === 'ranges')
      return blocksOf(this.#blocks(source.stages[0] as number, this.#task.task, recordsPartition))
    const merging: MergeContext = {
      ...context,
      ...this.#input(source.stages[0] as number),
      other: source.stages[1] === undefined ? undefined : this.#input(source.stages[1]),
      sorts: this.#stage.local.length === 0 && target.kind === 'publish' && this.#sorts(target.call),
      mayPublish: async () => !this.#strict || (this.#failed === 0 && (await this.#task.failed()) === 0),
      partition: this.#task.task,
    }
    if (source.kind === 'merge') {
      const definition = this.#definition(call, 'global')
      return batchesOf(definition.merge(call.options, this.#functions(call), merging))
    }
    if (source.kind === 'cuts')
      return this.#cuts(call, { ...merging, ...this.#input(source.stages[0] as number, samplesPartition) })
    const publish = this.#definition(call, 'sink').publish
    return batchesOf(
      (async function* (functions) {
        if (publish !== undefined) yield [await publish.finish(call.options, functions, merging)]
      })(this.#functions(call)),
    )
  }

  #sorts(call: StepProgram): boolean {
    return this.#definition(call, 'sink').publish?.sorts === true
  }

  async *#cuts(call: StepProgram, samples: MergeContext): AsyncGenerator<ReadBatch> {
    const { target } = this.#stage
    if (target.kind === 'cuts')
      yield { batch: { kind: 'records', records: await cutsOf(samples, this.#order(call), target.ranges) } }
  }

  /** How records are ordered. What goes wrong is told where they are sorted, and not before. */
  #order(call: StepProgram): Order {
    const order = this.#definition(call, 'global').order?.(call.options, this.#functions(call), {
      fail: () => undefined,
    })
    if (order === undefined) throw new PlanError('PLAN_OPTION', `${call.name} has no order`)
    return order
  }

  #input(stage: number, partition = this.#task.task): MergeInput {
    return {
      tasks: this.#task.tasksOf(stage),
      read: (task) => this.#records(stage, task, partition),
      batches: (task) => this.#blocks(stage, task, partition),
    }
  }

  async *#records(stage: number, task: number, partition: number): AsyncGenerator<readonly unknown[]> {
    for await (const batch of this.#blocks(stage, task, partition)) yield toRecords(batch)
  }

  async *#blocks(stage: number, task: number, partition: number): AsyncGenerator<Batch> {
    for await (const frame of this.#task.input(stage, task, partition)) {
      this.#task.count({ bytes: frame.length })
      yield decodeBatch(frame)
    }
  }

  async #collector(): Promise<Collector> {
    const { source, target, partitions } = this.#stage
    if (target.kind === 'result' || target.kind === 'cuts')
      return new ResultCollector(this.#task, this.#context(this.#stage.source.call))
    const { call } = target
    const context = { ...this.#context(call), partitions }
    const { text } = this.#stage
    if (target.kind === 'samples') return new SampleCollector(context, this.#order(call), target.ranges)
    if (source.kind === 'ranges') {
      const cuts: Cut[] = []
      for await (const batch of this.#records(source.stages[1] as number, 0, 0)) cuts.push(...(batch as readonly Cut[]))
      return new RangeCollector(context, this.#order(call), cuts)
    }
    if (target.kind === 'shuffle') {
      const collecting = this.#definition(call, 'global').text
      if (text !== undefined && collecting !== undefined) return collecting.collect(call.options, text.tokens, context)
      return this.#definition(call, 'global').collect(call.options, this.#functions(call), context)
    }
    const sink = this.#definition(call, 'sink')
    if (sink.publish !== undefined) return sink.publish.collect(call.options, this.#functions(call), context)
    const functions = this.#functions(call)
    return new EffectCollector(
      this.#task,
      call.definition === undefined
        ? (record) => sink.effects?.(call.options, record, functions) ?? []
        : (record) => checkedCommands(sink.effects?.(call.options, record, functions)),
      (failure, record) => this.#failFound(failure, [call], record, undefined),
    )
  }

  #functions(call: StepProgram): readonly unknown[] {
    return call.functions.map((index) => this.#program.functions[index])
  }

  #definition<K extends Definition['kind']>(call: StepProgram, kind: K): Extract<Definition, { kind: K }> {
    const definition = (
      call.definition === undefined ? builtins.get(call.name) : this.#program.functions[call.definition]
    ) as Definition | undefined
    if (definition?.kind !== kind) {
      throw new PlanError('PLAN_OPTION', `this worker has no ${kind} called ${call.name}: its version is another one`)
    }
    return definition as Extract<Definition, { kind: K }>
  }
}

/** By name and not by spread: V8 gives copies by spread hidden classes of their own, and loops compiled for one do not fit the next. */
function boundStep(step: Step | BatchStep, values: unknown): (Step | BatchStep) & { readonly values: unknown } {
  return step.shape === 'batch' ? { ...step, values } : { shape: step.shape, call: step.call, values }
}

async function* blocksOf(blocks: AsyncIterable<Batch>): AsyncGenerator<ReadBatch> {
  for await (const batch of blocks) yield { batch }
}

async function* batchesOf(batches: AsyncIterable<readonly unknown[] | Batch>): AsyncGenerator<ReadBatch> {
  for await (const batch of batches) {
    yield { batch: 'kind' in batch ? batch : { kind: 'records', records: batch as unknown[] } }
  }
}
