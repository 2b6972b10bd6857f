// Which files are Gearmill's own: they are never shipped, as each executor has them.
import { sep } from 'node:path'
import { fileURLToPath } from 'node:url'

const packageRoot = fileURLToPath(new URL('../..', import.meta.url))

// Both: source maps turn the one into the other, and a test of Gearmill may run either.
const ownFolders = ['src', 'dist'].map((folder) => `${packageRoot}${folder}${sep}`)

/** `code/resource` for a module of Gearmill's own; undefined for all others. */
export function ownModule(path: string): string | undefined {
  const folder = ownFolders.find((each) => path.startsWith(each))
  return (
    folder &&
    path
      .slice(folder.length)
      .replaceAll(sep, '/')
      .replace(/\.[cm]?[jt]s$/, '')
  )
}
