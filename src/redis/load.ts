// Puts the function library onto a shard.
import type { Reply } from './deployment.ts'
import { ReplyError } from './failures.ts'
import type { Library, LibrarySource } from './library.ts'

/** Sends a command to the shard that is being loaded. */
export type Ask = (args: readonly string[]) => Promise<Reply>

/** Loads what is missing; a library whose name holds its hash is never replaced. */
export async function loadLibrary(library: Library, ask: Ask): Promise<void> {
  if (library.internal.functions.length > 0) await loadNew(library.internal, ask)
  if (library.public.functions.length > 0 && !(await loadNew(library.public, ask)))
    await replaceOlder(library.public, ask)
}

/** Returns false if a library of that name is there already. */
async function loadNew({ source }: LibrarySource, ask: Ask): Promise<boolean> {
  try {
    await ask(['FUNCTION', 'LOAD', source])
    return true
  } catch (error) {
    if (error instanceof ReplyError && /already exists/.test(error.message)) return false
    throw error
  }
}

async function replaceOlder({ name, source, version }: LibrarySource, ask: Ask): Promise<void> {
  const reply = await ask(['FUNCTION', 'LIST', 'LIBRARYNAME', name, 'WITHCODE'])
  const [entry] = Array.isArray(reply) ? reply : []
  const code = entry instanceof Map ? entry.get('library_code') : undefined
  const there = typeof code === 'string' ? code : ''
  if (there === source) return
  const theirs = /^-- version (\S+)$/m.exec(there)?.[1] ?? '0'
  // Of two texts of one version (a developer's) the one that came last counts.
  if (compareVersions(theirs, version) <= 0) await ask(['FUNCTION', 'LOAD', 'REPLACE', source])
}

function compareVersions(a: string, b: string): number {
  const left = a.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0)
  const right = b.split(/[.-]/).map((part) => Number.parseInt(part, 10) || 0)
  for (let i = 0; i < 3; i++) {
    const difference = (left[i] ?? 0) - (right[i] ?? 0)
    if (difference !== 0) return difference
  }
  return 0
}
