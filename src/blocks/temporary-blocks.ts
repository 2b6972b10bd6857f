// Private blocks of one process and its children: a directory that is removed with the store, or, after a crash, by the
// next process that makes one.
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { hostname, tmpdir } from 'node:os'
import { join } from 'node:path'
import { FileBlocks } from './file-blocks.ts'
import { codeOf, fileError } from './file-errors.ts'
import { safeName } from './names.ts'

/** Blocks in a private directory under `os.tmpdir()`; `close()` removes it. Removes those of processes that died first. */
export async function temporaryBlocks(parent = tmpdir()): Promise<FileBlocks> {
  const prefix = directoryPrefix()
  try {
    await sweep(parent, prefix)
    return new TemporaryBlocks(await mkdtemp(join(parent, `${prefix}${process.pid}.`)))
  } catch (error) {
    throw fileError(error, 'make', join(parent, `${prefix}*`))
  }
}

class TemporaryBlocks extends FileBlocks {
  override async close(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }
}

// The host is named because containers may share the directory, and a process of another one is not seen from here.
function directoryPrefix(): string {
  return `gearmill-blocks.${safeName(hostname())}.`
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

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // EPERM: it lives, as another user's.
    return codeOf(error) !== 'ESRCH'
  }
}
