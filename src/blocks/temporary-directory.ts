// A private directory of one process and its children under the system's temporary folder. What a process that was killed
// could not remove, the next one that makes such a directory does.
import { rmSync } from 'node:fs'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { isAlive } from '../server/alive.ts'
import { forgetDirectory } from '../server/watchdog.ts'
import { fileError } from './file-errors.ts'
import { safeName } from './names.ts'

/** Makes `gearmill-<purpose>.<host>.<pid>.<random>`, and removes those of the same purpose whose processes died. */
export async function temporaryDirectory(purpose: string, parent = tmpdir()): Promise<string> {
  // The host is named because containers may share the folder, and a process of another one is not seen from here.
  const prefix = `gearmill-${purpose}.${safeName(hostname())}.`
  try {
    await sweep(parent, prefix)
    return await mkdtemp(join(parent, `${prefix}${process.pid}.`))
  } catch (error) {
    throw fileError(error, 'make', join(parent, `${prefix}*`))
  }
}

/** Removes one that this process made. */
export function removeTemporaryDirectory(path: string): void {
  rmSync(path, { recursive: true, force: true })
  forgetDirectory(path)
}

async function sweep(parent: string, prefix: string): Promise<void> {
  for (const entry of await readdir(parent, { withFileTypes: true })) {
    if (!entry.isDirectory() || !entry.name.startsWith(prefix)) continue
    const pid = Number.parseInt(entry.name.slice(prefix.length), 10)
    if (!Number.isInteger(pid) || isAlive(pid)) continue
    // Another user's directory stays; another process may sweep at the same time.
    await rm(join(parent, entry.name), { recursive: true, force: true }).catch(() => undefined)
  }
}
