// Blocks of matrices that were not saved: they are kept alive while their handle lives, go with it, and expire by themselves
// where the process dies.
import type { Blocks } from './blocks.ts'
import type { Stored } from './stored.ts'

/** How long unsaved blocks outlive their process at most, in milliseconds. */
export const temporaryMs = 10 * 60 * 1000

export class Lifetimes {
  readonly #blocks: Blocks
  readonly #living = new Map<string, Stored>()
  readonly #removing = new Set<Promise<void>>()
  #renewing: { readonly id: string; readonly done: Promise<unknown> } | undefined
  readonly #collected = new FinalizationRegistry<string>((id) => void this.release(id).catch(() => undefined))
  readonly #keeper: NodeJS.Timeout

  constructor(blocks: Blocks) {
    this.#blocks = blocks
    this.#keeper = setInterval(() => void this.renew(), temporaryMs / 3)
    this.#keeper.unref()
  }

  /** From now on its blocks are kept alive, also those that are still to be written. */
  begin(stored: Stored): void {
    this.#living.set(stored.id, stored)
  }

  /** Its blocks go when `holder` is collected. */
  bind(holder: object, { id }: Stored): void {
    this.#collected.register(holder, id, holder)
  }

  /** Somebody else takes care of it: when this is done, nothing here gives its blocks an end any more. */
  async forget(holder: object, { id }: Stored): Promise<void> {
    this.#collected.unregister(holder)
    this.#living.delete(id)
    if (this.#renewing?.id === id) await this.#renewing.done
  }

  /** Removes the blocks of what was begun and neither forgotten nor released. */
  async release(id: string): Promise<void> {
    const stored = this.#living.get(id)
    if (stored === undefined) return
    this.#living.delete(id)
    const removing = this.#blocks.remove(stored)
    this.#removing.add(removing)
    await removing.finally(() => this.#removing.delete(removing))
  }

  /** Moves the end of all that lives. One that cannot be reached now must not keep the others from it. */
  async renew(): Promise<void> {
    for (const stored of this.#living.values()) {
      const done = this.#blocks.keep(stored, temporaryMs).catch(() => undefined)
      this.#renewing = { id: stored.id, done }
      await done
    }
    this.#renewing = undefined
  }

  async close(): Promise<void> {
    clearInterval(this.#keeper)
    await Promise.allSettled([...this.#removing, ...[...this.#living.keys()].map((id) => this.release(id))])
  }
}
