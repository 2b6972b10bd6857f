// What a shipped function throws outside of its call: a rejected promise that nobody awaits, an exception in a timer or an
// event handler. Nobody can say what state it left the process in, so it ends the executor; before that it is noted for the
// supervisor, with the record that it came from where records are traced.
import { AsyncLocalStorage } from 'node:async_hooks'
import { failureOf } from '../failure.ts'
import type { PositionWriter } from './position.ts'

interface Origin {
  /** The task's entry: what is left over from an earlier task says nothing about this one. */
  readonly entry: string
  readonly record: number
}

/** How long a traced task waits, before it commits, for what its functions left running, in milliseconds. */
export const lingerMs = 100

export class StrayErrors {
  // Only used once something was thrown astray: while it is, every promise costs more.
  readonly #origin = new AsyncLocalStorage<Origin>()
  readonly #position: PositionWriter
  readonly #currentEntry: () => string | undefined

  constructor(position: PositionWriter, currentEntry: () => string | undefined) {
    this.#position = position
    this.#currentEntry = currentEntry
  }

  /** Gives what marks everything that is started from there on as a record's. */
  tracer(entry: string): (record: number) => void {
    return (record) => this.#origin.enterWith({ entry, record })
  }

  listen(): void {
    process.on('uncaughtException', (thrown: unknown, kind) => {
      const origin = this.#origin.getStore()
      const failure = failureOf(thrown, 'EXECUTION_RECORD')
      const what = thrown instanceof Error ? `threw ${thrown.name}: ${thrown.message}` : failure.message
      const how = kind === 'unhandledRejection' ? 'a rejected promise that nobody awaits' : 'in a callback'
      this.#position.leave({
        failure: { ...failure, message: `${what}, outside of its call (${how})` },
        ...(origin !== undefined && origin.entry === this.#currentEntry() ? { record: origin.record } : {}),
      })
      process.exit(1)
    })
  }
}
