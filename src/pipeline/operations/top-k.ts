// topK(k, f): the k records with the largest keys, largest first; of equal ones the earlier. Each task keeps k.
import { compareValues } from '../../codec/compare.ts'
import { type Collector, type ShuffleContext, type Step, defineOperation } from '../define.ts'
import { FrameWriter } from '../shuffle/frames.ts'
import { allBatches } from '../shuffle/stream.ts'
import { checkOrder } from '../shuffle/sorted.ts'
import { refuserOf } from '../shuffle/table.ts'

interface TopOptions {
  readonly k: number
  readonly by: boolean
}

type Pair = readonly [key: unknown, record: unknown]

/** The k largest so far: a buffer of at most 2k that is sorted and cut when it is full. */
class Top {
  readonly #k: number
  #pairs: Pair[] = []
  /** The smallest that is in once k are: what is not larger need not come in. */
  #least: Pair | undefined

  constructor(k: number) {
    this.#k = k
  }

  add(pair: Pair): void {
    checkOrder(pair[0])
    if (this.#least !== undefined && compareValues(pair[0], this.#least[0]) <= 0) return
    this.#pairs.push(pair)
    if (this.#pairs.length >= 2 * this.#k + 64) this.pairs()
  }

  /** In order: largest first, stable. */
  pairs(): readonly Pair[] {
    this.#pairs = this.#pairs.sort((a, b) => compareValues(b[0], a[0])).slice(0, this.#k)
    if (this.#pairs.length === this.#k) this.#least = this.#pairs.at(-1)
    return this.#pairs
  }
}

class TopCollector implements Collector {
  readonly #top: Top
  readonly #by: boolean
  readonly #writer: FrameWriter

  constructor(context: ShuffleContext, { k, by }: TopOptions) {
    this.#top = new Top(k)
    this.#by = by
    this.#writer = new FrameWriter(() => context.task.output(0), refuserOf(context))
  }

  add(record: unknown): void {
    this.#top.add(this.#by ? (record as Pair) : [record, record])
  }

  drain(): undefined {
    return undefined
  }

  async end(): Promise<void> {
    for (const pair of this.#top.pairs()) {
      this.#writer.add(this.#by ? pair : pair[1])
      await this.#writer.drain()
    }
    await this.#writer.end()
  }
}

export const topK = defineOperation({
  kind: 'global',
  name: 'topK',
  spread: 'one',
  combines: true,
  most: (records, { k }) => Math.min(records, k),
  describe: ({ k, by }: TopOptions) => (by ? `topK(${k}, f)` : `topK(${k})`),
  steps: ({ by }, functions: readonly unknown[]): Step[] =>
    by ? [{ shape: 'key', call: functions[0] as Step['call'] }] : [],
  collect: (options, _functions, context) => new TopCollector(context, options),
  async *merge({ k, by }, _functions, context) {
    const top = new Top(k)
    for await (const batch of allBatches(context)) {
      for (const record of batch) top.add(by ? (record as Pair) : [record, record])
    }
    const records = top.pairs().map((pair) => pair[1])
    for (let i = 0; i < records.length; i += 1024) yield records.slice(i, i + 1024)
  },
})
