// A Map whose keys are the same by content: what group operations collect in.
import { type Identity, keyOf } from './keys.ts'

/** A Map by the identity of keys (`keyOf`), in the order in which keys were first seen, with the keys as first seen. */
export class KeyMap<V> {
  readonly #values = new Map<Identity, V>()
  // Only keys that are not their own identity: objects, mostly.
  readonly #originals = new Map<Identity, unknown>()

  get size(): number {
    return this.#values.size
  }

  get(key: unknown): V | undefined {
    return this.#values.get(keyOf(key))
  }

  has(key: unknown): boolean {
    return this.#values.has(keyOf(key))
  }

  set(key: unknown, value: V): this {
    this.#put(keyOf(key), key, value)
    return this
  }

  /** Sets what `change` makes of the key's value (undefined for a new key), and returns it. */
  update(key: unknown, change: (previous: V | undefined) => V): V {
    const identity = keyOf(key)
    const value = change(this.#values.get(identity))
    this.#put(identity, key, value)
    return value
  }

  delete(key: unknown): boolean {
    const identity = keyOf(key)
    this.#originals.delete(identity)
    return this.#values.delete(identity)
  }

  clear(): void {
    this.#values.clear()
    this.#originals.clear()
  }

  *keys(): IterableIterator<unknown> {
    for (const identity of this.#values.keys()) yield this.#original(identity)
  }

  values(): IterableIterator<V> {
    return this.#values.values()
  }

  *entries(): IterableIterator<[key: unknown, value: V]> {
    for (const [identity, value] of this.#values) yield [this.#original(identity), value]
  }

  [Symbol.iterator](): IterableIterator<[key: unknown, value: V]> {
    return this.entries()
  }

  #put(identity: Identity, key: unknown, value: V): void {
    if (identity !== key && typeof identity === 'string' && !this.#originals.has(identity)) {
      this.#originals.set(identity, key)
    }
    this.#values.set(identity, value)
  }

  #original(identity: Identity): unknown {
    return this.#originals.size > 0 && this.#originals.has(identity) ? this.#originals.get(identity) : identity
  }
}
