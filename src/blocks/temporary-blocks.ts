// Private blocks of one process and its children: a directory that is removed with the store, or, after a crash, by the
// next process that makes one.
import { rm } from 'node:fs/promises'
import { FileBlocks } from './file-blocks.ts'
import { temporaryDirectory } from './temporary-directory.ts'

/** Blocks in a private directory under `os.tmpdir()`; `close()` removes it. Removes those of processes that died first. */
export async function temporaryBlocks(parent?: string): Promise<FileBlocks> {
  return new TemporaryBlocks(await temporaryDirectory('blocks', parent))
}

class TemporaryBlocks extends FileBlocks {
  override async close(): Promise<void> {
    await rm(this.dir, { recursive: true, force: true })
  }
}
