// The local operations of a stage as one loop: a function is generated for each run of synchronous steps, with every call
// in place (so V8 can inline it), a try/catch around each and no array between two steps. Where a call returns a promise,
// the run is cut there for good: what comes after goes on in order, up to `concurrency` calls of the step at a time.
// Measured with map.filter.map.filter in eight pipelines of one process: 18 ns a record; closures that call each other 31,
// closures with an array between two steps 81.
//
// A step that first returns a promise in the middle of a record (a flatMap above it may have made several items of it)
// defers: the promise and the inputs that follow it at that step are kept, uncalled, and run through the cut chain when the
// loop is left. So nothing is called twice, and never more than `concurrency` calls are under way.
import type { BatchStep, Step } from './define.ts'

/** Receives what leaves the chain; `origin` is the index of the record it was made from. */
export type Emit = (value: unknown, origin: number) => void
/** Receives what a step threw for its input. */
export type Fail = (step: number, input: unknown, origin: number, thrown: unknown) => void

interface Values {
  /** What with() gives to the function, if anything. */
  readonly values?: unknown
}
type SingleStep = Step & Values
type BoundStep = (Step | BatchStep) & Values

interface Deferral {
  readonly step: number
  readonly origin: number
  readonly promise: PromiseLike<unknown>
  /** The input of the promise, then the inputs that follow. */
  readonly inputs: unknown[]
}

type Origins = readonly number[] | undefined
type Loop = (
  items: readonly unknown[],
  origins: Origins,
  from: number,
  to: number,
  emit: Emit,
  deferred: Deferral[],
) => number

/** Calls of one asynchronous step that are under way at a time: as many as their GETs share a round trip. */
const concurrency = 1024

type MakeLoop = (steps: readonly SingleStep[], fail: Fail, opens: typeof opened, finds: typeof pendingOf) => Loop

/**
 * What chains of the same steps know of each other: a chain is made for each task, and V8 would begin anew to learn what its
 * loops do, and to compile them. Chains of other functions must not share it: calls of many functions cannot be inlined.
 */
export class ChainMemory {
  /** Steps that are known to give promises. */
  readonly asynchronous: boolean[] = []
  /** By the steps of the loop. */
  readonly loops = new Map<number, MakeLoop>()
}

const AsyncFunction = (async () => undefined).constructor

/** A chain of local steps that ends in `emit`. */
export class Chain {
  readonly #steps: readonly BoundStep[]
  readonly #emit: Emit
  readonly #fail: Fail
  readonly #asynchronous: boolean[]
  readonly #memory: ChainMemory
  readonly #loops = new Map<number, Loop>()

  /** @param memory of chains of the same steps, with the same functions */
  constructor(steps: readonly BoundStep[], emit: Emit, fail: Fail, memory = new ChainMemory()) {
    this.#steps = steps
    this.#emit = emit
    this.#fail = fail
    this.#memory = memory
    this.#asynchronous = steps.map(
      (step, i) => step.shape === 'batch' || step.call instanceof AsyncFunction || memory.asynchronous[i] === true,
    )
  }

  /** How many records should go through together, for steps that take several; 0: there is none. */
  get wants(): number {
    return Math.max(0, ...this.#steps.map((step) => (step.shape === 'batch' ? step.size : 0)))
  }

  /** Runs `items[from .. to)` through the chain. A promise only where a step gave one. */
  run(items: readonly unknown[], from: number, to: number): void | Promise<void> {
    return this.#run(0, items, undefined, from, to)
  }

  #run(first: number, items: readonly unknown[], origins: Origins, from: number, to: number): void | Promise<void> {
    if (this.#asynchronous[first] === true) return this.#runAsynchronous(first, items, origins, from, to)
    let last = first + 1
    while (last < this.#steps.length && this.#asynchronous[last] !== true) last++
    if (first >= this.#steps.length) last = first

    const deferred: Deferral[] = []
    if (last >= this.#steps.length) {
      const next = this.#loop(first, last)(items, origins, from, to, this.#emit, deferred)
      return deferred.length === 0 ? undefined : this.#resume(first, deferred, items, origins, next, to)
    }
    const values: unknown[] = []
    const from_: number[] = []
    const emit: Emit = (value, origin) => {
      values.push(value)
      from_.push(origin)
    }
    const next = this.#loop(first, last)(items, origins, from, to, emit, deferred)
    const rest = this.#run(last, values, from_, 0, values.length)
    if (deferred.length === 0) return rest
    return (async () => {
      await rest
      await this.#resume(first, deferred, items, origins, next, to)
    })()
  }

  async #resume(
    first: number,
    deferred: readonly Deferral[],
    items: readonly unknown[],
    origins: Origins,
    from: number,
    to: number,
  ): Promise<void> {
    for (const { step } of deferred) this.#asynchronous[step] = this.#memory.asynchronous[step] = true
    this.#loops.clear()
    // Later steps deferred first: an item that a step keeps back reaches none behind it.
    for (const { step, origin, promise, inputs } of deferred) {
      const everyOrigin = new Array<number>(inputs.length).fill(origin)
      await this.#runAsynchronous(step, inputs, everyOrigin, 0, inputs.length, promise)
    }
    if (from < to) await this.#run(first, items, origins, from, to)
  }

  /** One asynchronous step over many inputs, then what follows it. `started` is the result of the first one. */
  async #runAsynchronous(
    index: number,
    items: readonly unknown[],
    origins: Origins,
    from: number,
    to: number,
    started?: PromiseLike<unknown>,
  ): Promise<void> {
    const step = this.#steps[index] as BoundStep
    if (step.shape === 'batch') return this.#runBatches(index, step, items, origins, from, to)
    const originOf = (i: number): number => (origins === undefined ? i : (origins[i] as number))
    const failed = new Set<number>()
    const calls: Calls = {
      from,
      to,
      call: (i) => (started !== undefined && i === from ? started : step.call(items[i], step.values)),
      failed: (i, thrown) => {
        failed.add(i)
        this.#fail(index, items[i], originOf(i), thrown)
      },
    }
    const isFew = to - from <= concurrency && step.shape !== 'flat'
    const results = isFew ? await settledTogether(calls) : await settledInTurn(calls, step.shape === 'flat')

    const values: unknown[] = []
    const nextOrigins: number[] = []
    const put = (value: unknown, i: number): void => {
      values.push(value)
      nextOrigins.push(originOf(i))
    }
    for (let i = from; i < to; i++) {
      if (failed.size > 0 && failed.has(i)) continue
      const result = results[i - from]
      const item = items[i]
      if (step.shape === 'map') put(result, i)
      else if (step.shape === 'tap' || (step.shape === 'filter' && result)) put(item, i)
      else if (step.shape === 'key') put([result, item], i)
      else if (step.shape === 'flat') {
        for (const value of opened(result, this.#fail, index, item, originOf(i))) put(value, i)
      }
    }
    const rest = this.#run(index + 1, values, nextOrigins, 0, values.length)
    if (rest !== undefined) await rest
  }

  /** A step that takes records together; what follows it gets them in order. */
  async #runBatches(
    index: number,
    step: BatchStep & Values,
    items: readonly unknown[],
    origins: Origins,
    from: number,
    to: number,
  ): Promise<void> {
    const values: unknown[] = []
    const nextOrigins: number[] = []
    for (let first = from; first < to; first += step.size) {
      const batch = items.slice(first, Math.min(to, first + step.size))
      const settled = await step.call(batch, step.values)
      for (const [k, result] of settled.entries()) {
        const origin = origins === undefined ? first + k : (origins[first + k] as number)
        if ('thrown' in result) this.#fail(index, batch[k], origin, result.thrown)
        else {
          values.push(result.value)
          nextOrigins.push(origin)
        }
      }
    }
    await this.#run(index + 1, values, nextOrigins, 0, values.length)
  }

  #loop(first: number, last: number): Loop {
    const key = first * 1024 + last
    let loop = this.#loops.get(key)
    if (loop === undefined) {
      // Steps that take records together are asynchronous: none of them is in a loop.
      loop = first === last ? passOn : this.#compiled(key, first, last)
      this.#loops.set(key, loop)
    }
    return loop
  }

  #compiled(key: number, first: number, last: number): Loop {
    const { loops } = this.#memory
    const steps = this.#steps as readonly SingleStep[]
    let make = loops.get(key)
    if (make === undefined) loops.set(key, (make = compile(steps, first, last)))
    return make(steps, this.#fail, opened, pendingOf)
  }
}

/** Calls of an asynchronous step, for the inputs `from` to `to`. */
interface Calls {
  readonly from: number
  readonly to: number
  /** What it gives, or a promise of it. */
  readonly call: (i: number) => unknown
  readonly failed: (i: number, thrown: unknown) => void
}

/** What calls give that are all under way at once. One wait for all of them costs half as much as one for each. */
async function settledTogether({ from, to, call, failed }: Calls): Promise<unknown[]> {
  const pending: Promise<unknown>[] = []
  for (let i = from; i < to; i++) {
    try {
      // Wraps other kinds of promises, which may begin their work anew each time that they are asked.
      pending.push(Promise.resolve(call(i)))
    } catch (thrown) {
      failed(i, thrown)
      pending.push(Promise.resolve())
    }
  }
  try {
    return await Promise.all(pending)
  } catch {
    // Which of them failed is found below.
  }
  const results: unknown[] = []
  for (const [k, one] of pending.entries()) {
    try {
      results[k] = await one
    } catch (thrown) {
      failed(from + k, thrown)
    }
  }
  return results
}

/** What calls give of which no more than `concurrency` are under way. */
async function settledInTurn({ from, to, call, failed }: Calls, gathers: boolean): Promise<unknown[]> {
  const results = new Array<unknown>(to - from)
  let next = from
  const work = async (): Promise<void> => {
    while (next < to) {
      const i = next++
      try {
        const value = await call(i)
        results[i - from] = gathers && isAsyncIterable(value) ? await gather(value) : value
      } catch (thrown) {
        failed(i, thrown)
      }
    }
  }
  // No Array.from(): it asks the runtime for each element of an object that has none.
  const workers: Promise<void>[] = []
  for (let more = Math.min(concurrency, to - from); more > 0; more--) workers.push(work())
  await Promise.all(workers)
  return results
}

/** Whether flatMap opens a value. */
export function isOpened(value: unknown): value is Iterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.iterator in value
}

function isAsyncIterable(value: unknown): value is AsyncIterable<unknown> {
  return typeof value === 'object' && value !== null && Symbol.asyncIterator in value
}

async function gather(iterable: AsyncIterable<unknown>): Promise<unknown[]> {
  const values: unknown[] = []
  for await (const value of iterable) values.push(value)
  return values
}

/** What to wait for before a flatMap's result can be opened. */
function pendingOf(value: object): PromiseLike<unknown> | undefined {
  if (isAsyncIterable(value)) return gather(value)
  return typeof (value as { then?: unknown }).then === 'function' ? (value as PromiseLike<unknown>) : undefined
}

/** The source of one step: `input` and `output` are names of variables, `skip` leaves the current item. */
function source(step: SingleStep, k: number, input: string, output: string, skip: string, inner: string): string {
  const call = step.values === undefined ? `f${k}(${input})` : `f${k}(${input}, w${k})`
  const pending = step.shape === 'flat' ? `pendingOf(r${k})` : `typeof r${k}.then === 'function' ? r${k} : undefined`
  const calling = `
    if (d${k} !== null) { d${k}.push(${input}); ${skip} }
    let r${k}
    try {
      r${k} = ${call}
      if (typeof r${k} === 'object' && r${k} !== null && !Array.isArray(r${k})) {
        const promise = ${pending}
        if (promise !== undefined) {
          d${k} = [${input}]
          deferred.push({ step: ${k}, origin, promise, inputs: d${k} })
          ${skip}
        }
      }
    } catch (thrown) {
      fail(${k}, ${input}, origin, thrown)
      ${skip}
    }`
  switch (step.shape) {
    case 'map':
      return `${calling}\nconst ${output} = r${k}\n${inner}`
    case 'tap':
      return `${calling}\nconst ${output} = ${input}\n${inner}`
    case 'filter':
      return `${calling}\nif (!r${k}) ${skip}\nconst ${output} = ${input}\n${inner}`
    case 'key':
      return `${calling}\nconst ${output} = [r${k}, ${input}]\n${inner}`
    case 'flat':
      return `${calling}
      const all${k} = opened(r${k}, fail, ${k}, ${input}, origin)
      for (let i${k} = 0; i${k} < all${k}.length; i${k}++) {
        const ${output} = all${k}[i${k}]
        ${inner}
      }`
  }
}

function opened(value: unknown, fail: Fail, step: number, input: unknown, origin: number): readonly unknown[] {
  if (Array.isArray(value)) return value
  if (!isOpened(value)) return [value]
  const values: unknown[] = []
  try {
    for (const item of value) values.push(item)
    return values
  } catch (thrown) {
    // As with an async one, a record that failed half way gives nothing.
    fail(step, input, origin, thrown)
    return []
  }
}

/** Of no steps at all: not worth a compiler, least of all for the small batches of triggers. */
const passOn: Loop = (items, origins, from, to, emit) => {
  for (let i = from; i < to; i++) emit(items[i], origins === undefined ? i : (origins[i] as number))
  return to
}

function compile(steps: readonly SingleStep[], first: number, last: number): MakeLoop {
  let body = `emit(v${last}, origin)`
  for (let k = last - 1; k >= first; k--) {
    const inLoop = steps.slice(first, k).some((step) => step.shape === 'flat')
    body = source(steps[k] as SingleStep, k, `v${k}`, `v${k + 1}`, inLoop ? 'continue' : 'break record', body)
  }
  const range = Array.from({ length: last - first }, (_, i) => first + i)
  const text = `'use strict'
  ${range.map((k) => `const f${k} = steps[${k}].call, w${k} = steps[${k}].values`).join('\n')}
  return (items, origins, from, to, emit, deferred) => {
    ${range.map((k) => `let d${k} = null`).join('\n')}
    for (let i = from; i < to; i++) {
      const origin = origins === undefined ? i : origins[i]
      const v${first} = items[i]
      record: { ${body} }
      if (deferred.length > 0) return i + 1
    }
    return to
  }`
  // The text is made of the templates above and numbers only: nothing of the user's is in it.
  // oxlint-disable-next-line typescript/no-implied-eval
  return new Function('steps', 'fail', 'opened', 'pendingOf', text) as MakeLoop
}
