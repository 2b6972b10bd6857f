// The yardstick of the demo: the same count by plain loops in one process.
import { readFile } from 'node:fs/promises'
import { glob } from 'tinyglobby'

export async function countSerially(pattern: string): Promise<{ readonly words: number; readonly distinct: number }> {
  const counts = new Map<string, number>()
  let words = 0
  for (const path of await glob(pattern, { absolute: true })) {
    for (const word of (await readFile(path, 'utf8')).split(/\s+/)) {
      if (word === '') continue
      words += 1
      counts.set(word, (counts.get(word) ?? 0) + 1)
    }
  }
  return { words, distinct: counts.size }
}
