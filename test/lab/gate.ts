// Holds a word count back: a test that does harm in the middle knows that it is there, however slow or fast the machine.
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export interface Gate {
  /** A file that says how many files may be counted. */
  readonly path: string
  /** Lets the first so many files through, all by default. Executors that wait at others are not free for these. */
  open(files?: number): void
}

/** A gate for one test, open for so many files. */
export function newGate(files: number): Gate {
  const folder = mkdtempSync(join(tmpdir(), 'gearmill-gate-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  const path = join(folder, 'files')
  const open = (count = Number.MAX_SAFE_INTEGER): void => writeFileSync(path, String(count))
  open(files)
  return { path, open }
}
