// npm packages that shipped functions import: found at capture, compared on the worker.
import { existsSync, readFileSync } from 'node:fs'
import { isBuiltin } from 'node:module'
import { dirname, join, sep } from 'node:path'
import { fileURLToPath } from 'node:url'

interface Manifest {
  readonly name?: string
  readonly version?: string
  readonly main?: string
  readonly module?: string
  readonly exports?: unknown
}

const manifests = new Map<string, Manifest | undefined>()

function manifestIn(folder: string): Manifest | undefined {
  if (!manifests.has(folder)) {
    const path = join(folder, 'package.json')
    let manifest: Manifest | undefined
    try {
      if (existsSync(path)) manifest = JSON.parse(readFileSync(path, 'utf8')) as Manifest
    } catch {
      manifest = undefined
    }
    // Only what was found is kept: a package may be installed while a worker runs.
    if (manifest === undefined) return undefined
    manifests.set(folder, manifest)
  }
  return manifests.get(folder)
}

/** `@scope/name/sub` -> `@scope/name`; undefined for paths, URLs, builtins and `#imports`. */
export function packageNameOf(specifier: string): string | undefined {
  if (isBuiltin(specifier) || /^(?:[./#]|[A-Za-z][A-Za-z+.-]*:)/.test(specifier)) return undefined
  const parts = specifier.split('/')
  return specifier.startsWith('@') ? (parts.length > 1 ? `${parts[0]}/${parts[1]}` : undefined) : parts[0]
}

/** The installed package that `name` means for a module in `folder`, as Node finds it. */
function packageFrom(
  name: string,
  folder: string,
): { readonly folder: string; readonly manifest: Manifest } | undefined {
  for (let at = folder; ; at = dirname(at)) {
    const candidate = join(at, 'node_modules', ...name.split('/'))
    const manifest = manifestIn(candidate)
    if (manifest !== undefined) return { folder: candidate, manifest }
    if (dirname(at) === at) return undefined
  }
}

/** The version of `name` that a module in `folder` imports; undefined where it is not installed. */
export function versionFrom(name: string, folder: string): string | undefined {
  const found = packageFrom(name, folder)
  return found && (found.manifest.version ?? '0.0.0')
}

/** The specifier by which another place can import a file of an installed package. */
export function specifierOf(path: string): string | undefined {
  const mark = `${sep}node_modules${sep}`
  const at = path.lastIndexOf(mark)
  if (at < 0) return undefined
  const inside = path.slice(at + mark.length).split(sep)
  const nameParts = inside[0]?.startsWith('@') ? 2 : 1
  const name = inside.slice(0, nameParts).join('/')
  const file = inside.slice(nameParts).join('/')
  const manifest = manifestIn(join(path.slice(0, at + mark.length), ...inside.slice(0, nameParts)))
  if (manifest === undefined) return undefined
  if (manifest.exports === undefined || manifest.exports === null) {
    const entry = [manifest.main, manifest.module, 'index.js'].filter((each) => each !== undefined).map(plain)
    return entry.includes(plain(file)) ? name : `${name}/${file}`
  }
  const subpath = exportedAs(manifest.exports, `./${file}`)
  return subpath === undefined ? undefined : subpath === '.' ? name : `${name}/${subpath.slice(2)}`
}

const plain = (path: string): string => path.replace(/^\.\//, '').replace(/(?:\/?index)?\.[cm]?js$/, '')

function exportedAs(exported: unknown, file: string): string | undefined {
  if (typeof exported !== 'object' || exported === null || Array.isArray(exported)) {
    return targets(exported).includes(file) ? '.' : undefined
  }
  const entries = Object.entries(exported)
  if (!entries.some(([key]) => key.startsWith('.'))) return targets(exported).includes(file) ? '.' : undefined
  for (const [key, target] of entries) {
    for (const path of targets(target)) {
      if (path === file) return key
      const [before = '', after] = path.split('*')
      if (after === undefined || !file.startsWith(before) || !file.endsWith(after)) continue
      return key.replace('*', file.slice(before.length, file.length - after.length))
    }
  }
  return undefined
}

function targets(target: unknown): string[] {
  if (typeof target === 'string') return [target]
  return typeof target === 'object' && target !== null ? Object.values(target).flatMap(targets) : []
}

export function isInPackage(path: string): boolean {
  return path.includes(`${sep}node_modules${sep}`)
}

/** The specifier behind one of vite's: `/node_modules/pkg/dist/index.js` below its root, `/@fs/...`, or as it was written. */
export function vitePackage(specifier: string, place: string): string | undefined {
  if (!specifier.startsWith('/') && !specifier.startsWith('file:')) return specifier
  if (!specifier.includes('/node_modules/')) return undefined
  const path = specifier.startsWith('file:')
    ? fileURLToPath(specifier)
    : specifier.replace(/^\/@fs/, '').replace(/\?.*$/, '')
  for (let root = place; ; root = dirname(root)) {
    const candidate = path.startsWith(root) ? path : join(root, path)
    if (existsSync(candidate)) return specifierOf(candidate)
    if (dirname(root) === root) return undefined
  }
}

/**
 * What keeps a worker from running code: packages that are missing, or have another major version.
 * @param base file URL or path of the folder or file from whose place packages are resolved.
 */
export function checkPackages(packages: Readonly<Record<string, string>>, base: string): readonly string[] {
  const place = base.startsWith('file:') ? fileURLToPath(base) : base
  const problems: string[] = []
  for (const [name, wanted] of Object.entries(packages)) {
    const found = versionFrom(name, place)
    if (found === undefined) problems.push(`package '${name}' (${wanted}) is not installed`)
    else if (major(found) !== major(wanted))
      problems.push(`package '${name}' is ${found}, the function was written for ${wanted}`)
  }
  return problems
}

const major = (version: string): string => version.split('.')[0] ?? version
