// Changes of one matrix that must not overlap: each begins when those that were asked for before have ended, at once where there
// are none.

export class Turns {
  #last: Promise<unknown> | undefined

  run<T>(change: () => Promise<T>): Promise<T> {
    const result = this.#last === undefined ? change() : this.#last.then(change)
    // The next one comes, whatever became of this one.
    const ended = result
      .catch(() => undefined)
      .finally(() => {
        if (this.#last === ended) this.#last = undefined
      })
    this.#last = ended
    return result
  }
}
