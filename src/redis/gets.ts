// GETs that are issued together as one MGET: a function that is called for each of a thousand records asks for one key at a
// time. What the MGET gives no value for is asked for again by GET, which tells a missing key from one of another type.

export type Key = string | Buffer

/** How to send, without a detour through here. */
export interface GetSender {
  get(key: Key): Promise<unknown>
  mGet(keys: readonly Key[]): Promise<unknown>
}

interface Waiting {
  readonly key: Key
  readonly resolve: (value: unknown) => void
  readonly reject: (reason: unknown) => void
}

const mostTogether = 1024

export class JoinedGets {
  readonly #sender: GetSender
  #waiting: Waiting[] = []

  constructor(sender: GetSender) {
    this.#sender = sender
  }

  get(key: Key): Promise<unknown> {
    return new Promise((resolve, reject) => {
      // Runs when everything that is ready to run has run: all that can be issued now is.
      if (this.#waiting.length === 0) process.nextTick(() => this.flush())
      this.#waiting.push({ key, resolve, reject })
      if (this.#waiting.length >= mostTogether) this.flush()
    })
  }

  /** Sends what waits. To be called before any other command, so that commands keep their order. */
  flush(): void {
    if (this.#waiting.length === 0) return
    const waiting = this.#waiting
    this.#waiting = []
    if (waiting.length === 1) this.#single(waiting[0] as Waiting)
    else void this.#together(waiting)
  }

  #single({ key, resolve, reject }: Waiting): void {
    this.#sender.get(key).then(resolve, reject)
  }

  async #together(waiting: readonly Waiting[]): Promise<void> {
    let values: unknown
    try {
      values = await this.#sender.mGet(keysOf(waiting))
    } catch {
      // A user may be allowed GET, and no MGET; any other failure is that of each GET, too.
    }
    this.#answer(waiting, Array.isArray(values) ? values : [])
  }

  /** A function of its own: a loop behind an await is compiled with all that is around it, several times. */
  #answer(waiting: readonly Waiting[], values: readonly unknown[]): void {
    for (let i = 0; i < waiting.length; i++) {
      const one = waiting[i] as Waiting
      const value = values[i] ?? null
      if (value === null) this.#single(one)
      else one.resolve(value)
    }
  }
}

// Arrays that map() makes are of another kind once the call is compiled, which undoes what was compiled for the first ones.
function keysOf(waiting: readonly Waiting[]): Key[] {
  const keys: Key[] = []
  for (const { key } of waiting) keys.push(key)
  return keys
}
