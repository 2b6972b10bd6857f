// The lock files have the prebuilt packages of every platform, without which `npm ci` refuses them.
import { lockFiles, missingEntries, readLock } from '../lockfile.mjs'

export async function check() {
  const problems = []
  for (const file of lockFiles) {
    for (const [path] of missingEntries(await readLock(file))) {
      problems.push(`${file} lacks ${path}; run: node scripts/lockfile.mjs`)
    }
  }
  return problems
}
