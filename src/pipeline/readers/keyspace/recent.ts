// The keys that were seen last, in bounded memory. SCAN gives a key twice where the table shrinks under it: then a bucket of
// the smaller table is walked again, whose keys came shortly before.

/** From so many to twice as many keys are remembered: as many as a table may shrink by at once, about. Few, to stay in the cache. */
const remembered = 8192

export class RecentKeys {
  #recent = new Set<string>()
  #older = new Set<string>()

  /** Whether the key is new; it is not from then on. */
  add(name: string): boolean {
    if (this.#older.size > 0 && this.#older.has(name)) return false
    const before = this.#recent.size
    if (this.#recent.add(name).size === before) return false
    if (before >= remembered) {
      this.#older = this.#recent
      this.#recent = new Set()
    }
    return true
  }
}
