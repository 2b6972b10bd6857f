// Where the time of a task goes. Told at the borders of batches only: a few readings of the clock for about 1,000 records.
import type { Phase } from '../../engine/runner.ts'

export class Phases {
  #since = performance.now()
  readonly #spent: Record<Phase, number> = { reader: 0, user: 0, shuffle: 0, sink: 0 }

  /** What has passed since the last end of a phase belongs to this one. */
  end(phase: Phase): void {
    const now = performance.now()
    this.#spent[phase] += now - this.#since
    this.#since = now
  }

  /** Milliseconds. */
  get spent(): Readonly<Record<Phase, number>> {
    return this.#spent
  }
}
