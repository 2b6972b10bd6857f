// A directory of its own for a test file, removed when the file is done.
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'

let count = 0

/** Returns a function that makes fresh paths. */
export function temporaryFolder(): (name?: string) => string {
  const folder = mkdtempSync(join(tmpdir(), 'gearmill-buffers-'))
  afterAll(() => rmSync(folder, { recursive: true, force: true }))
  return (name = 'file.gmb') => join(folder, `${count++}-${name}`)
}

/** The code of what a function throws; undefined if it does not. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run()
    return undefined
  } catch (error) {
    return (error as { readonly code?: string }).code ?? String(error)
  }
}
