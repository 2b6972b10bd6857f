// `mill.counter(name)`: shipped functions add to it, and what committed tasks added is summed.
import type { EngineClient } from '../engine/client.ts'
import { ConnectError } from '../errors.ts'
import { checkString, refuse } from '../pipeline/options.ts'

/** A sum that shipped functions add to. */
export interface Counter {
  readonly name: string
  /**
   * Adds `n`, by default 1. Within a shipped function it counts with the commit of the task: exactly once, though executors
   * die. Elsewhere it is added by the next value().
   */
  add(n?: number): void
  /** The sum of what has been committed, over all executors. */
  value(): Promise<number>
}

/** Known to executors by this and the counter's name. */
export const counterPrefix = 'mill.counter:'

/** Throws PLAN_OPTION. */
export function checkCounter(name: unknown): void {
  checkString('counter', name, 'the name to be a text')
  if (name === '' || (name as string).startsWith('.')) refuse('counter', 'a name that does not begin with a dot', name)
}

/** Throws PLAN_OPTION: an amount that is none would spoil the sum for good. */
export function checkAmount(n: unknown): void {
  if (typeof n !== 'number' || !Number.isFinite(n)) refuse('counter.add', 'a finite number', n)
}

/** A counter as its mill's process has it. */
export class ClientCounter implements Counter {
  readonly name: string
  readonly #engine: EngineClient
  #waiting = 0

  constructor(name: string, engine: EngineClient) {
    this.name = name
    this.#engine = engine
  }

  add(n = 1): void {
    checkAmount(n)
    this.#waiting += n
  }

  async value(): Promise<number> {
    const own = this.#waiting
    this.#waiting = 0
    if (own !== 0) await this.#engine.addToCounter(this.name, own).catch((error: unknown) => this.#kept(own, error))
    return this.#engine.counterValue(this.name)
  }

  /** What the server refused is added by the next call; of what was on its way when the connection broke, nobody knows. */
  #kept(own: number, error: unknown): never {
    if (!(error instanceof ConnectError) || error.code !== 'CONNECT_LOST') this.#waiting += own
    throw error
  }
}
