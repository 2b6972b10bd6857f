// Paths and globs to files with their sizes, in a fixed order.
import { readdir, stat } from 'node:fs/promises'
import { basename, dirname } from 'node:path'
import { PlanError } from '../../../errors.ts'

export interface FoundFile {
  readonly path: string
  readonly size: number
}

/**
 * The files of absolute paths and globs, without those of `excluded`; a folder is the files in it.
 * Throws PLAN_FILE for a path that is not there or cannot be read, PLAN_NO_MATCH for a glob that finds nothing where there
 * is something (or no folder) to look in.
 */
export async function matchFiles(patterns: readonly string[], excluded: readonly string[] = []): Promise<FoundFile[]> {
  const left = new Set<string>()
  for (const pattern of excluded) for (const path of await excludedBy(pattern)) left.add(path)
  const found = new Map<string, FoundFile>()
  for (const pattern of patterns) {
    for (const path of await pathsOf(pattern)) {
      if (!found.has(path) && !left.has(path)) found.set(path, { path, size: await sizeOf(path) })
    }
  }
  if (found.size === 0 && left.size > 0) {
    throw new PlanError('PLAN_NO_MATCH', `nothing is left of ${patterns.join(', ')} without ${excluded.join(', ')}`)
  }
  return [...found.values()]
}

/** What is not there need not be left out. */
async function excludedBy(pattern: string): Promise<string[]> {
  try {
    return await pathsOf(pattern)
  } catch (error) {
    if (error instanceof PlanError) return []
    throw error
  }
}

async function pathsOf(pattern: string): Promise<string[]> {
  const entry = await stat(pattern).catch((cause: unknown) => {
    // What is no file may be a pattern; a folder that must not be searched, or a circle of links, is neither.
    if (['ENOENT', 'ENOTDIR', 'ENAMETOOLONG'].includes((cause as NodeJS.ErrnoException).code ?? '')) return undefined
    throw new PlanError('PLAN_FILE', `cannot read ${pattern}: ${reasonOf(cause)}`, { cause })
  })
  if (entry?.isDirectory() === true) {
    const entries = await readdir(pattern, { withFileTypes: true }).catch((cause: unknown) => {
      throw new PlanError('PLAN_FILE', `cannot read the folder ${pattern}: ${reasonOf(cause)}`, { cause })
    })
    const files = entries.filter((one) => one.isFile()).map((one) => `${pattern.replace(/\/$/, '')}/${one.name}`)
    return files.sort()
  }
  if (entry !== undefined) return [pattern]
  // Plain paths are common, and loading this costs as much as many of them.
  const { glob, isDynamicPattern } = await import('tinyglobby')
  if (!isDynamicPattern(pattern)) throw new PlanError('PLAN_FILE', `there is no file ${pattern}`)

  const folder = folderOf(pattern, isDynamicPattern)
  // From this folder on: a search starts at the working directory otherwise, and looks at all that lies on the way.
  const matched = await glob([pattern], { absolute: true, onlyFiles: true, dot: false, cwd: folder })
  if (matched.length > 0) return matched.sort()
  const inFolder = await readdir(folder).catch((cause: unknown) => {
    throw new PlanError('PLAN_NO_MATCH', `no file matches ${pattern}: cannot read ${folder}: ${reasonOf(cause)}`, {
      cause,
    })
  })
  if (inFolder.length === 0) return []
  throw new PlanError('PLAN_NO_MATCH', `no file matches ${pattern}`)
}

/** The folder in front of the first part that is a pattern. */
function folderOf(pattern: string, isPattern: (path: string) => boolean): string {
  let folder = pattern
  while (isPattern(folder) || isPattern(basename(folder))) folder = dirname(folder)
  return folder
}

async function sizeOf(path: string): Promise<number> {
  try {
    return (await stat(path)).size
  } catch (cause) {
    throw new PlanError('PLAN_FILE', `cannot read the file ${path}: ${reasonOf(cause)}`, { cause })
  }
}

export function reasonOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
