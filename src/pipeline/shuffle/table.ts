// One state for each key: the map side combines before it writes, the reduce side merges what the tasks wrote. Both have a
// memory budget. Over it the map side writes its table as it is and starts another (the reduce side combines again); the
// reduce side writes runs sorted by key and merges them at the end.
import { compareValues } from '../../codec/compare.ts'
import { type Encode, encodeKeyed } from '../../codec/frames.ts'
import { type Identity, hashKey, keyOf } from '../../codec/keys.ts'
import { partitionOf } from '../../codec/hash.ts'
import type { Collector, MergeContext, Order, RunContext, ShuffleContext } from '../define.ts'
import { type Budget, budgetOf } from './budget.ts'
import { FrameWriter, type Refuse } from './frames.ts'
import { relieve } from './garbage.ts'
import { type Compare, type Source, Scratch, mergeSorted } from './runs.ts'
import { Weight } from './weight.ts'

export interface Entry<S> {
  readonly key: unknown
  state: S
}

// Map entry, entry object and state.
const entryBytes = 120
// Changes of states that are measured: one of so many, which counts for all of them.
const measuredEvery = 64
const batchSize = 1024

/** A map by the content of keys, in the order in which they came, that knows about how large it is. */
export class Table<S> {
  #entries = new Map<Identity, Entry<S>>()
  #bytes = 0
  #changes = 0
  readonly #weight = new Weight()
  readonly #states: Weight | undefined

  /** @param weighsStates false where the caller knows better what states take */
  constructor({ weighsStates = true } = {}) {
    this.#states = weighsStates ? new Weight() : undefined
  }

  get size(): number {
    return this.#entries.size
  }

  find(key: unknown): Entry<S> | undefined {
    return this.#entries.get(typeof key === 'string' && key.charCodeAt(0) !== 0 ? key : keyOf(key))
  }

  /** Adds a key that is not there. */
  add(key: unknown, state: S): void {
    // A piece of a longer text would keep all of that text alive: V8 shares it from 13 characters on.
    const own = typeof key === 'string' && key.length > 12 ? copied(key) : key
    this.#bytes += entryBytes + this.#weight.of(own)
    if (this.#states !== undefined && typeof state === 'object' && state !== null) this.#bytes += this.#states.of(state)
    this.#entries.set(keyOf(own), { key: own, state })
  }

  /** Removes a key and gives what it had. */
  take(key: unknown): Entry<S> | undefined {
    const identity = keyOf(key)
    const entry = this.#entries.get(identity)
    if (entry !== undefined) this.#entries.delete(identity)
    return entry
  }

  /** Whether the change of a state that is about to be made is to be measured. */
  get measures(): boolean {
    return this.#changes++ % measuredEvery === 0
  }

  /** Of a change that is measured: the state before and after it, as `sizeOf` says. */
  grew(before: number, after: number): void {
    this.#bytes += measuredEvery * (after - before)
  }

  /** @param more bytes that the caller knows of */
  isOver(budget: Budget, more = 0): boolean {
    return this.#entries.size >= budget.keys || this.#bytes + more >= budget.bytes
  }

  entries(): IterableIterator<Entry<S>> {
    return this.#entries.values()
  }

  clear(): void {
    this.#entries = new Map()
    this.#bytes = 0
  }
}

function copied(text: string): string {
  const bytes = Buffer.from(text, 'latin1')
  const copy = bytes.toString('latin1')
  return copy === text ? copy : Buffer.from(text, 'utf16le').toString('utf16le')
}

/** Reports a record that cannot be encoded. */
export function refuserOf(context: RunContext): Refuse {
  return (record, error) => context.fail(error, record)
}

/** One frame writer for each partition of this task. */
export class Partitions {
  readonly #writers: FrameWriter[]

  constructor(context: ShuffleContext, encode?: Encode) {
    const refuse = refuserOf(context)
    this.#writers = Array.from(
      { length: context.partitions },
      (_, p) => new FrameWriter(() => context.task.output(p), refuse, encode),
    )
  }

  /** Adds a record to the partition of its key. */
  add(key: unknown, record: unknown): void {
    const writers = this.#writers
    this.addTo(writers.length === 1 ? 0 : partitionOf(hashKey(key), writers.length), record)
  }

  addTo(partition: number, record: unknown): void {
    ;(this.#writers[partition] as FrameWriter).add(record)
  }

  /** Adds an encoded frame to a partition. */
  frame(partition: number, frame: Uint8Array): Promise<void> {
    return (this.#writers[partition] as FrameWriter).append(frame)
  }

  drain(): Promise<void> | undefined {
    let waiting: Promise<void>[] | undefined
    for (const writer of this.#writers) {
      const pending = writer.drain()
      if (pending !== undefined) (waiting ??= []).push(pending)
    }
    return waiting === undefined ? undefined : Promise.all(waiting).then(() => undefined)
  }

  async end(): Promise<void> {
    for (const writer of this.#writers) await writer.end()
  }
}

/** The map side: `update` puts a record into the table; `[key, state]` pairs are written. */
export class TableCollector<S> implements Collector {
  readonly #context: ShuffleContext
  readonly #table = new Table<S>()
  readonly #partitions: Partitions
  readonly #update: (table: Table<S>, record: unknown) => void
  readonly #budget: Budget

  constructor(
    context: ShuffleContext,
    update: (table: Table<S>, record: unknown) => void,
    budget: Budget = budgetOf(context),
  ) {
    this.#context = context
    this.#partitions = new Partitions(context, encodeKeyed)
    this.#update = update
    this.#budget = budget
  }

  add(record: unknown): void {
    this.#update(this.#table, record)
  }

  drain(): Promise<void> | undefined {
    return this.#table.isOver(this.#budget) ? this.#flush() : undefined
  }

  async end(): Promise<void> {
    await this.#flush()
    await this.#partitions.end()
  }

  async #flush(): Promise<void> {
    let count = 0
    for (const { key, state } of this.#table.entries()) {
      this.#partitions.add(key, [key, state])
      if (++count % batchSize === 0) await this.#partitions.drain()
    }
    this.#table.clear()
    await this.#partitions.drain()
    relieve(this.#context)
  }
}

/** Joins the state of a key with a later one. */
export type MergeStates = (earlier: unknown, later: unknown, key: unknown) => unknown

/** The reduce side over `[key, state]` pairs: one pair for each key, those of an earlier task merged first. */
export async function* mergeTables(
  context: MergeContext,
  merge: MergeStates,
  budget: Budget = budgetOf(context),
): AsyncGenerator<readonly [key: unknown, state: unknown][]> {
  const table = new Table<unknown>()
  const scratch = new Scratch(context.environment.scratch, refuserOf(context), encodeKeyed)
  const runs: Source[] = []
  try {
    for (let task = 0; task < context.tasks; task++) {
      for await (const batch of context.read(task)) {
        for (const [key, state] of batch as readonly [unknown, unknown][]) {
          const entry = table.find(key)
          if (entry === undefined) table.add(key, state)
          else entry.state = merge(entry.state, state, key)
        }
        if (table.isOver(budget)) {
          runs.push(await scratch.write(sortedPairs(table)))
          table.clear()
          relieve(context)
        }
      }
    }
    if (runs.length === 0) {
      yield* pairsOf(table.entries())
      return
    }
    runs.push(await scratch.write(sortedPairs(table)))
    table.clear()
    yield* joinEqual(mergeSorted(runs, compareKeys, scratch), merge, compareKeys)
  } finally {
    await scratch.remove()
  }
}

/** By the keys of pairs. */
export function compareKeys(left: unknown, right: unknown): number {
  return compareValues((left as readonly unknown[])[0], (right as readonly unknown[])[0])
}

/** Pairs in the order of their keys. */
export const keyOrder: Pick<Order, 'compare' | 'keys' | 'encode'> = {
  compare: compareKeys,
  encode: encodeKeyed,
  keys: { of: (pair) => (pair as readonly unknown[])[0], descending: false },
}

function sortedPairs(table: Table<unknown>): Iterable<[unknown, unknown][]> {
  const entries = Array.from(table.entries()).sort((a, b) => compareValues(a.key, b.key))
  return pairsOf(entries)
}

export function* pairsOf(entries: Iterable<Entry<unknown>>): Generator<[unknown, unknown][]> {
  let batch: [unknown, unknown][] = []
  for (const { key, state } of entries) {
    batch.push([key, state])
    if (batch.length === batchSize) {
      yield batch
      batch = []
    }
  }
  if (batch.length > 0) yield batch
}

/** Joins the states of neighbours with equal keys. */
export async function* joinEqual(
  batches: AsyncIterable<readonly unknown[]>,
  merge: MergeStates,
  compare: Compare,
): AsyncGenerator<readonly [unknown, unknown][]> {
  let current: [unknown, unknown] | undefined
  for await (const batch of batches) {
    const joined: [unknown, unknown][] = []
    for (const pair of batch as readonly [unknown, unknown][]) {
      if (current !== undefined && compare(current, pair) === 0) {
        current = [current[0], merge(current[1], pair[1], pair[0])]
      } else {
        if (current !== undefined) joined.push(current)
        current = pair
      }
    }
    if (joined.length > 0) yield joined
  }
  if (current !== undefined) yield [current]
}
