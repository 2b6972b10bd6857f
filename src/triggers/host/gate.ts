// Lets batches of several seats run side by side, and a suspect record alone: whatever then ends the process, it was that.
export class Gate {
  #running = 0
  #alone = false
  readonly #waiting: (() => void)[] = []

  async enter(alone: boolean): Promise<() => void> {
    while (this.#alone || (alone && this.#running > 0)) {
      await new Promise<void>((resolve) => this.#waiting.push(resolve))
    }
    this.#running += 1
    this.#alone = alone
    return () => {
      this.#running -= 1
      this.#alone = false
      for (const resolve of this.#waiting.splice(0)) resolve()
    }
  }
}
