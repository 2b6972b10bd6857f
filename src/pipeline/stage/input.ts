// Where the batches of a task come from: a reader, what other stages wrote, or what is left to do once for all of it.
import { type Batch, toRecords } from '../../codec/batch.ts'
import { decodeBatch } from '../../codec/frames.ts'
import type { TaskContext } from '../../engine/runner.ts'
import type { Counter } from '../../native/text/counter.ts'
import type { MergeContext, MergeInput, ReadBatch, RunContext } from '../define.ts'
import { batchesOfReader } from '../foreign.ts'
import type { StageProgram, StepProgram } from '../program.ts'
import { type Cut, cutsOf, recordsPartition, samplesPartition } from '../shuffle/ranges.ts'
import type { StageCalls } from './calls.ts'

export class StageInput {
  readonly #stage: StageProgram
  readonly #task: TaskContext
  readonly #calls: StageCalls
  readonly #mayPublish: () => Promise<boolean>

  constructor(stage: StageProgram, task: TaskContext, calls: StageCalls, mayPublish: () => Promise<boolean>) {
    this.#stage = stage
    this.#task = task
    this.#calls = calls
    this.#mayPublish = mayPublish
  }

  /** @param texts where readers may put text themselves */
  batches(texts: Counter | undefined): AsyncIterable<ReadBatch> {
    const { source } = this.#stage
    const { call } = source
    // After a death records go through the guard, which finds the one that kills.
    const context = { ...this.#calls.context(call), texts: this.#task.attempt === 1 ? texts : undefined }
    if (source.kind === 'reader') return this.#read(call, source.data, context)
    const [first, second] = source.stages as readonly [number, number?]
    if (source.kind === 'ranges') return blocksOf(this.#blocks(first, this.#task.task, recordsPartition))
    const merging: MergeContext = {
      ...context,
      ...this.of(first),
      other: second === undefined ? undefined : this.of(second),
      sorts: this.#isSortedBehind,
      mayPublish: this.#mayPublish,
      partition: this.#task.task,
    }
    switch (source.kind) {
      case 'merge': {
        const definition = this.#calls.definition(call, 'global')
        return batchesOf(definition.merge(call.options, this.#calls.functions(call), merging))
      }
      case 'cuts':
        return this.#cuts(call, { ...merging, ...this.of(first, samplesPartition) })
      case 'publish':
        return batchesOf(this.#published(call, merging))
    }
  }

  /** What a stage wrote for a partition. */
  of(stage: number, partition = this.#task.task): MergeInput {
    return {
      tasks: this.#task.tasksOf(stage),
      read: (task) => this.#records(stage, task, partition),
      batches: (task) => this.#blocks(stage, task, partition),
    }
  }

  /** Where ranges are cut, as a stage wrote it. */
  async cutsOf(stage: number): Promise<Cut[]> {
    const cuts: Cut[] = []
    for await (const batch of this.#records(stage, 0, 0)) cuts.push(...(batch as readonly Cut[]))
    return cuts
  }

  #read(call: StepProgram, data: unknown, context: RunContext): AsyncIterable<ReadBatch> {
    const definition = this.#calls.definition(call, 'reader')
    const split = { index: this.#task.task, data }
    const read = (): AsyncIterable<ReadBatch> =>
      definition.read(call.options, split, context, this.#calls.functions(call))
    // Those of users give arrays.
    return call.definition === undefined ? read() : batchesOfReader(call, read)
  }

  /** What follows brings records into an order of its own. */
  get #isSortedBehind(): boolean {
    const { local, target } = this.#stage
    if (local.length > 0 || target.kind !== 'publish') return false
    return this.#calls.definition(target.call, 'sink').publish?.sorts === true
  }

  async *#cuts(call: StepProgram, samples: MergeContext): AsyncGenerator<ReadBatch> {
    const { target } = this.#stage
    if (target.kind !== 'cuts') return
    yield { batch: { kind: 'records', records: await cutsOf(samples, this.#calls.order(call), target.ranges) } }
  }

  async *#published(call: StepProgram, merging: MergeContext): AsyncGenerator<readonly unknown[]> {
    const { publish } = this.#calls.definition(call, 'sink')
    if (publish !== undefined) yield [await publish.finish(call.options, this.#calls.functions(call), merging)]
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
}

async function* blocksOf(blocks: AsyncIterable<Batch>): AsyncGenerator<ReadBatch> {
  for await (const batch of blocks) yield { batch }
}

async function* batchesOf(batches: AsyncIterable<readonly unknown[] | Batch>): AsyncGenerator<ReadBatch> {
  for await (const batch of batches) {
    yield { batch: 'kind' in batch ? batch : { kind: 'records', records: batch as unknown[] } }
  }
}
