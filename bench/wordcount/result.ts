// What every program of the comparison prints, so that their results can be held against each other.

export interface WordCountResult {
  readonly words: number
  readonly distinct: number
  /** The ten most frequent words; of equal counts the smaller word first. */
  readonly top: readonly (readonly [word: string, count: number])[]
}

export function resultOf(counts: ReadonlyMap<string, number>): WordCountResult {
  let words = 0
  for (const count of counts.values()) words += count
  const ranked = [...counts].sort(([a, x], [b, y]) => y - x || (a < b ? -1 : 1))
  return { words, distinct: counts.size, top: ranked.slice(0, 10) }
}
