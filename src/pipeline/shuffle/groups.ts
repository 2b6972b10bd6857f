// The reduce side of groups, in bounded memory. Folds keep a table of states while it is within the budget. From then on the
// table takes no key more, and records that would make it grow are sorted by key through scratch files, and folded at the
// end, key by key: so each record is folded once, and those of a key in the order of the input. States are never written:
// they may be what no codec carries.
import type { MergeContext, RunContext } from '../define.ts'
import { isPromise } from '../operations/accumulate.ts'
import type { Budget } from './budget.ts'
import { Sorter } from './sorter.ts'
import { type Entry, Table, compareKeys, keyOrder } from './table.ts'
import { allBatches } from './stream.ts'
import { sizeOf } from './weight.ts'

export type Reduce = (accumulator: unknown, record: unknown, key: unknown) => unknown
export type Pair = readonly [key: unknown, value: unknown]

const batchSize = 1024
// In the list of a group, with its share of the list.
const bytesOfPlace = 64

/** Folds pairs into a table, one by one, since functions may be async; one that throws loses its record, not the group. */
export class FoldTable {
  readonly #table = new Table<unknown>()
  readonly #start: () => unknown
  readonly #reduce: Reduce
  readonly #fail: RunContext['fail']

  constructor(start: () => unknown, reduce: Reduce, fail: RunContext['fail']) {
    this.#start = start
    this.#reduce = reduce
    this.#fail = fail
  }

  isOver(budget: Budget): boolean {
    return this.#table.isOver(budget)
  }

  /** A promise only where a function gave one. */
  fold(pairs: readonly Pair[], from = 0): Promise<void> | undefined {
    for (let i = from; i < pairs.length; i++) {
      const [key, value] = pairs[i] as Pair
      try {
        const entry = this.#table.find(key)
        const before = this.#table.measures ? sizeOf(entry?.state) : -1
        const next = this.#reduce(entry === undefined ? this.#start() : entry.state, value, key)
        if (isPromise(next)) return this.#foldRest(next, before, pairs, i)
        this.#keep(key, entry, next, before)
      } catch (thrown) {
        this.#fail(thrown, value)
      }
    }
    return undefined
  }

  async #foldRest(pending: PromiseLike<unknown>, before: number, pairs: readonly Pair[], at: number): Promise<void> {
    const [key, value] = pairs[at] as Pair
    try {
      const state = await pending
      this.#keep(key, this.#table.find(key), state, before)
    } catch (thrown) {
      this.#fail(thrown, value)
    }
    const rest = this.fold(pairs, at + 1)
    if (rest !== undefined) await rest
  }

  #keep(key: unknown, entry: Entry<unknown> | undefined, state: unknown, before: number): void {
    if (before >= 0) this.#table.grew(entry === undefined ? 0 : before, sizeOf(state))
    if (entry === undefined) this.#table.add(key, state)
    else entry.state = state
  }

  /** Whether a pair can be folded without the table getting larger: its key is there, with a state that stays small. */
  takes([key]: Pair): boolean {
    const entry = this.#table.find(key)
    if (entry === undefined) return false
    return entry.state === null || (typeof entry.state !== 'object' && typeof entry.state !== 'string')
  }

  /** Makes one key's state ready to be folded on, apart from the table, and takes it out. */
  takeOut(key: unknown): FoldTable {
    const apart = new FoldTable(this.#start, this.#reduce, this.#fail)
    const entry = this.#table.take(key)
    if (entry !== undefined) apart.#table.add(entry.key, entry.state)
    return apart
  }

  *entries(): Generator<Entry<unknown>> {
    yield* this.#table.entries()
  }

  *records(): Generator<{ readonly key: unknown; readonly value: unknown }> {
    for (const { key, state } of this.#table.entries()) yield { key, value: state }
  }

  clear(): void {
    this.#table.clear()
  }
}

/** `{ key, value }` of each group, its pairs folded in the order of the input. */
export async function* foldGroups(
  context: MergeContext,
  start: () => unknown,
  reduce: Reduce,
  budget: Budget,
): AsyncGenerator<readonly unknown[]> {
  const table = new FoldTable(start, reduce, context.fail)
  const others = new Sorter(context, keyOrder, budget)
  try {
    let isFull = false
    for await (const batch of allBatches(context)) {
      let pairs = batch as readonly Pair[]
      if (isFull) {
        const here: Pair[] = []
        for (const pair of pairs) {
          if (table.takes(pair)) here.push(pair)
          else others.add(pair)
        }
        pairs = here
        await others.drain()
      }
      const folding = table.fold(pairs)
      if (folding !== undefined) await folding
      isFull ||= table.isOver(budget)
    }
    if (!others.isEmpty) {
      for await (const group of groupsOf(others)) {
        const apart = table.takeOut(group.key)
        for await (const pairs of group.batches) await apart.fold(pairs)
        yield [...apart.records()]
      }
    }
    yield* together(table.records())
  } finally {
    await others.close()
  }
}

interface Group {
  readonly key: unknown
  /** To be read to its end before the next group is asked for. */
  readonly batches: AsyncIterable<readonly Pair[]>
}

/** The groups of sorted pairs. */
async function* groupsOf(sorter: Sorter): AsyncGenerator<Group> {
  const sorted = sorter.sorted()
  let pairs: readonly Pair[] = []
  let at = 0
  /** Whether there is a pair at `at`. */
  const isMore = async (): Promise<boolean> => {
    while (at === pairs.length) {
      const { done, value } = await sorted.next()
      if (done === true) return false
      pairs = value as readonly Pair[]
      at = 0
    }
    return true
  }
  const batchesOf = async function* (first: Pair): AsyncGenerator<readonly Pair[]> {
    while (await isMore()) {
      const from = at
      while (at < pairs.length && compareKeys(pairs[at], first) === 0) at++
      if (at > from) yield pairs.slice(from, at)
      if (at < pairs.length) return
    }
  }
  try {
    while (await isMore()) {
      const first = pairs[at] as Pair
      yield { key: first[0], batches: batchesOf(first) }
    }
  } finally {
    await sorted.return(undefined)
  }
}

/** All records of each key, in the order of the input; one group is in memory at a time where not all fit. */
export async function* gatherGroups(
  context: MergeContext,
  budget: Budget,
): AsyncGenerator<{ readonly key: unknown; readonly records: readonly unknown[] }> {
  const sorter = new Sorter(context, keyOrder, budget)
  let table: Table<unknown[]> | undefined = new Table<unknown[]>({ weighsStates: false })
  let bytes = 0
  try {
    for await (const batch of allBatches(context)) {
      for (const pair of batch as readonly Pair[]) {
        if (table === undefined) {
          sorter.add(pair)
          continue
        }
        const [key, record] = pair
        const entry: Entry<unknown[]> | undefined = table.find(key)
        if (entry === undefined) table.add(key, [record])
        else entry.state.push(record)
        bytes += bytesOfPlace + sizeOf(record)
      }
      if (table === undefined) await sorter.drain()
      else if (table.isOver(budget, bytes)) {
        for (const { key, state } of table.entries()) for (const record of state) sorter.add([key, record])
        table = undefined
        await sorter.drain()
      }
    }
    if (table !== undefined) {
      for (const { key, state } of table.entries()) yield { key, records: state }
      return
    }
    for await (const { key, batches } of groupsOf(sorter)) {
      const records: unknown[] = []
      for await (const pairs of batches) for (const pair of pairs) records.push(pair[1])
      yield { key, records }
    }
  } finally {
    await sorter.close()
  }
}

function* together(records: Iterable<unknown>): Generator<readonly unknown[]> {
  let batch: unknown[] = []
  for (const record of records) {
    batch.push(record)
    if (batch.length < batchSize) continue
    yield batch
    batch = []
  }
  if (batch.length > 0) yield batch
}
