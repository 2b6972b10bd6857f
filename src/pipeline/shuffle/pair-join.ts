// Joining two sides of `[key, record]` pairs: one as a table while it fits in memory; else both are sorted through scratch
// files, and gone over key by key. Of one key either side may be larger than memory, too.
import type { MergeInput, RunContext } from '../define.ts'
import type { Budget } from './budget.ts'
import { Scratch, type Source } from './runs.ts'
import { checkOrder } from './sorted.ts'
import { Sorter } from './sorter.ts'
import { Table, compareKeys, keyOrder, refuserOf } from './table.ts'
import { Weight, sizeOf } from './weight.ts'

export type JoinKind = 'inner' | 'left' | 'outer'
export type Pair = readonly [key: unknown, record: unknown]

export interface Joined {
  readonly key: unknown
  readonly left: unknown
  readonly right: unknown
}

/** The records of one key of the right side. */
export interface Matches {
  readonly records: unknown[]
  matched: boolean
}

const batchSize = 1024
// The place of a record in a list, and its share of the list.
const bytesOfMatch = 64

export async function* allPairs(input: MergeInput): AsyncGenerator<readonly Pair[]> {
  for (let task = 0; task < input.tasks; task++) yield* input.read(task) as AsyncIterable<readonly Pair[]>
}

/** Pairs by key; undefined where they take more than the budget. */
export async function tableOf(
  pairs: AsyncIterable<readonly Pair[]>,
  budget: Budget,
): Promise<Table<Matches> | undefined> {
  const table = new Table<Matches>({ weighsStates: false })
  const weight = new Weight()
  let bytes = 0
  let count = 0
  for await (const batch of pairs) {
    for (const [key, record] of batch) {
      const entry = table.find(key)
      if (entry === undefined) table.add(key, { records: [record], matched: false })
      else entry.state.records.push(record)
      bytes += weight.of(record)
    }
    count += batch.length
    if (table.isOver(budget, bytes + count * bytesOfMatch)) return undefined
  }
  return table
}

/** The sides of a partition of a shuffle, joined; the right one is the table. */
export async function* joinParts(
  left: MergeInput,
  right: MergeInput,
  how: JoinKind,
  context: RunContext,
  budget: Budget,
): AsyncGenerator<readonly Joined[]> {
  const table = await tableOf(allPairs(right), budget)
  if (table !== undefined) {
    yield* joinTable(allPairs(left), table, how)
    return
  }
  const join = new PairJoin(context, how, budget)
  for (const [side, input] of [left, right].entries()) {
    for await (const pairs of allPairs(input)) for (const pair of pairs) await join.add(side as 0 | 1, pair)
  }
  yield* join.joined()
}

async function* joinTable(
  left: AsyncIterable<readonly Pair[]>,
  table: Table<Matches>,
  how: JoinKind,
): AsyncGenerator<readonly Joined[]> {
  for await (const pairs of left) {
    const joined: Joined[] = []
    for (const [key, record] of pairs) {
      const state = table.find(key)?.state
      if (state === undefined) {
        if (how !== 'inner') joined.push({ key, left: record, right: undefined })
        continue
      }
      state.matched = true
      for (const right of state.records) joined.push({ key, left: record, right })
    }
    if (joined.length > 0) yield joined
  }
  if (how !== 'outer') return
  for (const { key, state } of table.entries()) {
    if (!state.matched) yield state.records.map((right) => ({ key, left: undefined, right }))
  }
}

/** A join of sides that do not fit in memory. */
export class PairJoin {
  readonly #how: JoinKind
  readonly #budget: Budget
  readonly #context: RunContext
  readonly #sides: readonly [Sorter, Sorter]

  constructor(context: RunContext, how: JoinKind, budget: Budget) {
    this.#context = context
    this.#how = how
    this.#budget = budget
    this.#sides = [new Sorter(context, keyOrder, budget), new Sorter(context, keyOrder, budget)]
  }

  /** Side 0 is the left one. Throws where the key can be none. */
  add(side: 0 | 1, pair: Pair): Promise<void> | undefined {
    checkOrder(pair[0])
    this.#sides[side].add(pair)
    return this.#sides[side].drain()
  }

  /** Everything joined, in the order of keys; once. */
  async *joined(): AsyncGenerator<readonly Joined[]> {
    const [left, right] = this.#sides.map((side) => new PairCursor(side.sorted())) as [PairCursor, PairCursor]
    let batch: Joined[] = []
    try {
      await Promise.all([left.open(), right.open()])
      while (left.pair !== undefined || (right.pair !== undefined && this.#how === 'outer')) {
        const order = orderOf(left.pair, right.pair)
        if (order === 0) {
          for await (const joined of this.#joinKey(left, right)) {
            yield batch
            yield joined
            batch = []
          }
          continue
        }
        const [key, record] = (order < 0 ? left.pair : right.pair) as Pair
        if (order < 0 && this.#how !== 'inner') batch.push({ key, left: record, right: undefined })
        if (order > 0 && this.#how === 'outer') batch.push({ key, left: undefined, right: record })
        const advancing = (order < 0 ? left : right).advance()
        if (advancing !== undefined) await advancing
        if (batch.length < batchSize) continue
        yield batch
        batch = []
      }
      yield batch
    } finally {
      await Promise.all([left.close(), right.close()])
      await Promise.all(this.#sides.map((side) => side.close()))
    }
  }

  /** All pairs of the key at which both sides are. */
  async *#joinKey(left: PairCursor, right: PairCursor): AsyncGenerator<readonly Joined[]> {
    const key = (left.pair as Pair)[0]
    const scratch = new Scratch(this.#context.environment.scratch, refuserOf(this.#context))
    try {
      const matches = await this.#recordsOf(key, right, scratch)
      let batch: Joined[] = []
      while (left.pair !== undefined && compareKeys(left.pair, [key]) === 0) {
        const record = left.pair[1]
        for await (const records of matches()) {
          for (const found of records) batch.push({ key, left: record, right: found })
          if (batch.length < batchSize) continue
          yield batch
          batch = []
        }
        const advancing = left.advance()
        if (advancing !== undefined) await advancing
      }
      yield batch
    } finally {
      await scratch.remove()
    }
  }

  /** The records of a key of the right side, to be gone over again and again. */
  async #recordsOf(key: unknown, right: PairCursor, scratch: Scratch): Promise<Source | (() => readonly unknown[][])> {
    const budget = this.#budget
    const records: unknown[] = []
    let bytes = 0
    const isHere = (): boolean => right.pair !== undefined && compareKeys(right.pair, [key]) === 0
    while (isHere() && bytes < budget.bytes && records.length < budget.keys) {
      const record = (right.pair as Pair)[1]
      records.push(record)
      bytes += sizeOf(record)
      const advancing = right.advance()
      if (advancing !== undefined) await advancing
    }
    if (!isHere()) return () => [records]
    return scratch.write(
      (async function* () {
        yield records
        while (isHere()) {
          yield [(right.pair as Pair)[1]]
          const advancing = right.advance()
          if (advancing !== undefined) await advancing
        }
      })(),
    )
  }
}

/** Where two sorted sides are: an end comes behind every key. */
function orderOf(left: Pair | undefined, right: Pair | undefined): number {
  if (left === undefined) return 1
  return right === undefined ? -1 : compareKeys(left, right)
}

/** Goes over sorted pairs one by one. */
class PairCursor {
  readonly #batches: AsyncGenerator<readonly unknown[]>
  #batch: readonly Pair[] = []
  #at = 0

  constructor(batches: AsyncGenerator<readonly unknown[]>) {
    this.#batches = batches
  }

  get pair(): Pair | undefined {
    return this.#batch[this.#at]
  }

  open(): Promise<void> {
    return this.#next()
  }

  /** A promise only where a batch is used up. */
  advance(): Promise<void> | undefined {
    return ++this.#at < this.#batch.length ? undefined : this.#next()
  }

  async #next(): Promise<void> {
    do {
      const { done, value } = await this.#batches.next()
      this.#batch = done === true ? [] : (value as readonly Pair[])
      this.#at = 0
      if (done === true) return
    } while (this.#batch.length === 0)
  }

  async close(): Promise<void> {
    await this.#batches.return(undefined)
  }
}
