// The global folds into one record: each task folds its records, one task joins what they wrote, in their order.
import type { Collector, MergeContext, ShuffleContext } from '../define.ts'
import { FrameWriter } from '../shuffle/frames.ts'
import { allBatches } from '../shuffle/stream.ts'
import { refuserOf } from '../shuffle/table.ts'

/** Folds synchronously; writes its state where it has seen a record. */
export class FoldCollector<S> implements Collector {
  readonly #writer: FrameWriter
  readonly #add: (state: S, record: unknown) => S
  #state: S
  #seen = false

  constructor(context: ShuffleContext, zero: S, add: (state: S, record: unknown) => S) {
    this.#writer = new FrameWriter(() => context.task.output(0), refuserOf(context))
    this.#state = zero
    this.#add = add
  }

  add(record: unknown): void {
    this.#state = this.#add(this.#state, record)
    this.#seen = true
  }

  drain(): undefined {
    return undefined
  }

  async end(): Promise<void> {
    if (this.#seen) this.#writer.add(this.#state)
    await this.#writer.end()
  }
}

/** Joins the states of all tasks, in order. */
export async function joinStates<S>(context: MergeContext, zero: S, join: (left: S, right: S) => S): Promise<S> {
  let state = zero
  for await (const batch of allBatches(context)) {
    for (const part of batch as readonly S[]) state = join(state, part)
  }
  return state
}
