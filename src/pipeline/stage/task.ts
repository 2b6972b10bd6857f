// One task of a stage: batches from its input, through the loops of its steps, into its collector.
import type { Batch } from '../../codec/batch.ts'
import type { Phase, TaskContext } from '../../engine/runner.ts'
import type { BatchStep, Collector, ReadBatch, Step } from '../define.ts'
import { Chain, ChainMemory } from '../fusion.ts'
import type { StageProgram, StepProgram } from '../program.ts'
import { StageCalls, type StageEnvironment } from './calls.ts'
import { collectorOf } from './collectors.ts'
import { Drive } from './drive.ts'
import { TaskFailures } from './failures.ts'
import { type BoundStep, type Gathering, type PreparedStages, groupsOf } from './groups.ts'
import { StageInput } from './input.ts'
import { Phases } from './phases.ts'

export interface StageTaskOptions extends StageEnvironment {
  /** Nothing is published where a record failed. */
  readonly strict: boolean
  /** What operations made of whole stages, kept for the tasks that follow. */
  readonly prepared?: PreparedStages
}

/** Of the chains of a stage, for its next task. */
const memories = new WeakMap<StageProgram, ChainMemory[]>()

export class StageTask {
  readonly #stage: StageProgram
  readonly #task: TaskContext
  readonly #prepared: PreparedStages
  readonly #failures: TaskFailures
  readonly #calls: StageCalls
  readonly #input: StageInput
  readonly #phases = new Phases()

  constructor(stage: StageProgram, task: TaskContext, { strict, prepared = new Map(), ...options }: StageTaskOptions) {
    this.#stage = stage
    this.#task = task
    this.#prepared = prepared
    this.#failures = new TaskFailures(stage, task)
    this.#calls = new StageCalls(options, task, this.#failures)
    const mayPublish = async (): Promise<boolean> =>
      !strict || (this.#failures.count === 0 && (await task.failed()) === 0)
    this.#input = new StageInput(stage, task, this.#calls, mayPublish)
  }

  async run(): Promise<void> {
    const collector = await collectorOf(this.#stage, this.#task, this.#calls, this.#failures, this.#input)
    const groups = await groupsOf(this.#stage, this.#calls, this.#input, this.#prepared)
    for (const { steps } of groups) for (const { step } of steps) if (step.shape === 'batch') await step.ready?.()
    const isBare = groups.length === 1 && groups[0]?.steps.length === 0
    let batches = this.#input.batches(isBare ? collector.texts : undefined)
    for (const [i, { steps, gathering }] of groups.entries()) {
      const last = i === groups.length - 1
      if (gathering === undefined || last) await this.#flow(batches, steps, collector, i)
      else batches = await this.#gather(batches, steps, gathering, i)
    }
    await collector.end()
    this.#phases.end(this.#output)
    await this.#failures.tell(undefined)
    this.#task.count({ spent: this.#phases.spent })
  }

  /** Runs batches through a chain into the collector. */
  async #flow(
    batches: AsyncIterable<ReadBatch>,
    steps: readonly BoundStep[],
    collector: Collector,
    group: number,
  ): Promise<void> {
    const { source, target } = this.#stage
    const last = target.kind === 'result' ? undefined : target.call
    const drive = this.#drive(group, [...steps.map(({ call }) => call), ...(last === undefined ? [] : [last])])
    const chain = this.#chain(group, steps, (value, origin) => {
      try {
        collector.add(value)
        drive.out++
      } catch (thrown) {
        this.#failures.keep(last ?? source.call, thrown, value, origin)
      }
    })
    await drive.run(batches, chain, {
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
    steps: readonly BoundStep[],
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
    await this.#drive(group, [...steps.map((step) => step.call), call]).run(batches, chain, { phase: 'user', drain })
    return (async function* () {
      for await (const records of gather.end()) yield { batch: { kind: 'records' as const, records: [...records] } }
    })()
  }

  /** Of a group of steps. Only the records that the first one gets are the input's. */
  #drive(group: number, calls: readonly StepProgram[]): Drive {
    const options = { waits: this.#waits, calls: group === 0 ? calls : undefined }
    return new Drive(this.#task, this.#failures, this.#phases, options)
  }

  #chain(group: number, steps: readonly BoundStep[], emit: (value: unknown, origin: number) => void): Chain {
    const chains = memories.get(this.#stage) ?? []
    memories.set(this.#stage, chains)
    return new Chain(
      steps.map(({ step, values }) => chainStep(step, values)),
      emit,
      (index, record, origin, thrown) => this.#failures.keep((steps[index] as BoundStep).call, thrown, record, origin),
      (chains[group] ??= new ChainMemory()),
    )
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
}

/** By name and not by spread: V8 gives copies by spread hidden classes of their own, and loops compiled for one do not fit the next. */
function chainStep(step: Step | BatchStep, values: unknown): (Step | BatchStep) & { readonly values: unknown } {
  return step.shape === 'batch' ? { ...step, values } : { shape: step.shape, call: step.call, values }
}
