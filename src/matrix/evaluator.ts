// Computes expressions: plans them, has the plan carried out, and notes on the nodes where their blocks are.
import { randomBytes } from 'node:crypto'
import { MatrixError } from '../errors.ts'
import { decodeRecords } from '../codec/frames.ts'
import { Blocks } from './blocks.ts'
import { Lifetimes, temporaryMs } from './lifetimes.ts'
import { Names } from './names.ts'
import type { Layout, Node } from './node.ts'
import { plan, type Planned } from './plan.ts'
import type { ColumnCounts } from './step-task.ts'
import type { Stored } from './stored.ts'
import { Stores } from './stores.ts'
import type { EvaluationOptions, MatrixWork, ReadFrames } from './work.ts'

export interface EvaluatorOptions {
  readonly work: MatrixWork
  /** Rows and columns of blocks where nothing else was said. */
  readonly blockSize: number
  /** URLs of further servers by name. */
  readonly stores: Readonly<Record<string, string>>
}

export class Evaluator {
  readonly blocks: Blocks
  readonly names: Names
  readonly lifetimes: Lifetimes
  readonly #options: EvaluatorOptions
  readonly #stores: Stores
  readonly #running = new Map<Node, Promise<void>>()
  readonly #closedNodes = new WeakSet<Node>()
  readonly #leaving = new Set<Promise<void>>()
  readonly #filling = new Set<Promise<void>>()
  readonly #held = new Set<{ readonly node: Node }>()
  /** Aborted by close(). */
  readonly #closing = new AbortController()

  constructor(options: EvaluatorOptions) {
    const { work, stores } = options
    this.#options = options
    this.#stores = new Stores(work.deployment, work.namespace, stores)
    this.blocks = new Blocks(this.#stores)
    this.names = new Names(this.blocks, work.namespace)
    this.lifetimes = new Lifetimes(this.blocks)
  }

  newId(): string {
    return randomBytes(9).toString('base64url')
  }

  /** What a new matrix is laid out as where nothing else was said. Throws `MATRIX_STORE`. */
  layout({ dtype = 'f64', blockSize = this.#options.blockSize, stores = [] }: Partial<Layout> = {}): Layout {
    this.#stores.check(stores)
    return { dtype, blockSize, stores }
  }

  /** Where its blocks are, once they are there. Throws `MATRIX_*` and `EXECUTION_*`. */
  async evaluate(node: Node, options: EvaluationOptions = {}): Promise<Stored> {
    await this.evaluateAll([node], options)
    if (node.stored === undefined) throw closed('the matrix was closed while it was computed')
    return node.stored
  }

  /** Several at once: what they have in common is computed once. */
  async evaluateAll(nodes: readonly Node[], options: EvaluationOptions = {}): Promise<void> {
    this.#closing.signal.throwIfAborted()
    const missing = [...new Set(nodes)].filter((node) => node.stored === undefined && !this.#closedNodes.has(node))
    const theirs = missing.filter((node) => this.#running.has(node))
    const waiting = Promise.allSettled(theirs.flatMap((node) => this.#running.get(node) ?? []))
    const ours = missing.filter((node) => !this.#running.has(node))
    if (ours.length > 0) {
      const running = this.#compute(ours, options).finally(() => ours.forEach((node) => this.#running.delete(node)))
      for (const node of ours) this.#running.set(node, running)
      await running
    }
    await waiting
    // Somebody else's evaluation was aborted, or ran out of their time: not of ours.
    if (theirs.some((node) => node.stored === undefined)) await this.evaluateAll(theirs, options)
  }

  /** Does something with the blocks of a node, which stay for so long though nothing else may refer to it any more. */
  async holding<T>(node: Node, work: () => Promise<T>): Promise<T> {
    const hold = { node }
    this.#held.add(hold)
    try {
      return await work()
    } finally {
      this.#held.delete(hold)
    }
  }

  plan(nodes: readonly Node[], newId: () => string, counted?: Node): Planned {
    return plan(nodes, { newId, ttlMs: temporaryMs, executors: this.#options.work.executors }, counted)
  }

  async #compute(nodes: readonly Node[], options: EvaluationOptions): Promise<void> {
    const planned = this.plan(nodes, () => this.newId())
    const { roots, temporaries } = planned
    for (const stored of [...roots, ...temporaries]) this.lifetimes.begin(stored)
    try {
      await this.#run(planned, options)
    } catch (error) {
      await Promise.allSettled(roots.map(({ id }) => this.lifetimes.release(id)))
      throw error
    } finally {
      this.#later(...temporaries.map(({ id }) => this.lifetimes.release(id)))
    }
    const taken = new Set<string>()
    for (const [k, node] of nodes.entries()) {
      const stored = roots[k] as Stored
      // Nodes may stand for the same values: the second one gets a matrix of its own all the same.
      if (taken.has(stored.id)) await this.#compute([node], options)
      else this.#note(node, stored)
      taken.add(stored.id)
    }
  }

  /** Has a matrix written by this process. What a write that did not end has left is removed. */
  async fill(stored: Stored, fill: (signal: AbortSignal) => Promise<void>): Promise<void> {
    const { signal } = this.#closing
    signal.throwIfAborted()
    this.lifetimes.begin(stored)
    const filling = fill(signal)
      .catch(async (error: unknown) => {
        await this.lifetimes.release(stored.id).catch(() => undefined)
        throw error
      })
      .finally(() => this.#filling.delete(filling))
    this.#filling.add(filling)
    await filling
  }

  /** Gives back the blocks of a node; those that are being made for it go when they are there. */
  async release(node: Node): Promise<void> {
    const { stored } = node
    this.#closedNodes.add(node)
    node.stored = undefined
    if (stored !== undefined) await this.lifetimes.release(stored.id)
  }

  #note(node: Node, stored: Stored): void {
    if (this.#closedNodes.has(node)) return this.#later(this.lifetimes.release(stored.id))
    node.stored = stored
    // What it was made from need not be kept for it any more: a loop would drag all of its past along.
    node.operation = { kind: 'stored' }
    this.lifetimes.bind(node, stored)
  }

  /** How often each value is in each column. */
  async count(node: Node): Promise<ColumnCounts[]> {
    const planned = this.plan([], () => this.newId(), node)
    for (const stored of planned.temporaries) this.lifetimes.begin(stored)
    const found: ColumnCounts[] = []
    try {
      await this.holding(node, () =>
        this.#run(planned, {}, async (frames) => {
          for await (const frame of frames) found.push(...(decodeRecords(frame) as ColumnCounts[]))
        }),
      )
    } finally {
      this.#later(...planned.temporaries.map(({ id }) => this.lifetimes.release(id)))
    }
    return found
  }

  async #run(planned: Planned, ...rest: [options: EvaluationOptions, read?: ReadFrames]): Promise<void> {
    if (planned.stages.length > 0) await this.#options.work.run(planned, ...rest)
  }

  /** Nobody waits for it but close(). */
  #later(...promises: readonly Promise<void>[]): void {
    for (const promise of promises) {
      const leaving = promise
        .catch(() => {
          // What cannot be removed now expires.
        })
        .finally(() => this.#leaving.delete(leaving))
      this.#leaving.add(leaving)
    }
  }

  /** Removes what was not saved. */
  async close(): Promise<void> {
    this.#closing.abort(closed('the mill of the matrix was closed'))
    await Promise.all([...this.#leaving, Promise.allSettled(this.#filling)])
    await this.lifetimes.close()
    await this.#options.work.close()
    await this.#stores.close()
  }
}

function closed(message: string): MatrixError {
  return new MatrixError('MATRIX_CLOSED', message)
}
