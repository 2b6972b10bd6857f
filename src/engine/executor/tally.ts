// What user code of the running task has counted: an executor runs one task at a time, and what it counted goes with the
// commit of that task, or nowhere.
let counts = new Map<string, number>()

/** Adds to a counter of the running task. */
export function tally(name: string, by: number): void {
  counts.set(name, (counts.get(name) ?? 0) + by)
}

/** What was counted since it was last taken. */
export function takeTally(): ReadonlyMap<string, number> {
  const taken = counts
  counts = new Map()
  return taken
}
