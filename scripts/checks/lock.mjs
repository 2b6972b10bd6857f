// The lock file has the prebuilt packages of every platform, without which `npm ci` refuses it.
import { missingEntries, readLock } from '../lockfile.mjs'

export async function check() {
  const missing = missingEntries(await readLock())
  return missing.map(([path]) => `package-lock.json lacks ${path}; run: node scripts/lockfile.mjs`)
}
