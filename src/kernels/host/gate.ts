// Lets steps run side by side, but one that a host may have died of alone: whatever then ends the process, it was that.
export class Gate {
  #running = 0
  #alone = false
  readonly #waiting: { readonly alone: boolean; readonly enter: () => void }[] = []

  /** Resolves when it may run (undefined: at once); then leave() is due. */
  enter(alone: boolean): Promise<void> | undefined {
    if (this.#waiting.length === 0 && this.#mayEnter(alone)) {
      this.#take(alone)
      return undefined
    }
    return new Promise((enter) => this.#waiting.push({ alone, enter }))
  }

  leave(): void {
    this.#running -= 1
    this.#alone = false
    // In their order: nobody waits for ever.
    for (let next = this.#waiting[0]; next !== undefined && this.#mayEnter(next.alone); next = this.#waiting[0]) {
      this.#waiting.shift()
      this.#take(next.alone)
      next.enter()
    }
  }

  #mayEnter(alone: boolean): boolean {
    return !this.#alone && (!alone || this.#running === 0)
  }

  #take(alone: boolean): void {
    this.#running += 1
    this.#alone = alone
  }
}
