// Completes the lock files: `node scripts/lockfile.mjs`. A registry mirror that lacks the prebuilt packages of other
// platforms makes npm leave them out of the lock file, and `npm ci` then refuses it, on every platform. What is missing is
// known from the package that asks for it: name and exact version; the platform is in the name.
import { readFile, writeFile } from 'node:fs/promises'
import { pathToFileURL } from 'node:url'
import { at, fail, say } from './paths.mjs'

const systems = ['aix', 'android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32']
const processors = ['arm64', 'arm', 'ia32', 'loong64', 'mips64el', 'ppc64', 'riscv64', 's390x', 'x64']

/** The prebuilt packages that the lock file does not have, each as [path, entry]. */
export function missingEntries(lock) {
  const missing = []
  for (const [path, { optionalDependencies = {}, dev }] of Object.entries(lock.packages)) {
    if (path === '') continue
    for (const [name, version] of Object.entries(optionalDependencies)) {
      const flat = `node_modules/${name}`
      if (flat in lock.packages || `${path}/${flat}` in lock.packages) continue
      const words = name.split(/[-/]/)
      const os = systems.filter((system) => words.includes(system))
      const cpu = processors.filter((processor) => words.includes(processor))
      const libc = words.includes('musl') ? ['musl'] : words.includes('gnu') ? ['glibc'] : undefined
      missing.push([flat, { version, cpu, ...(dev && { dev }), ...(libc && { libc }), optional: true, os }])
    }
  }
  return missing
}

/** Of the product, and of the benchmarks. */
export const lockFiles = ['package-lock.json', 'bench/package-lock.json']

export const readLock = async (path) => JSON.parse(await readFile(at(path), 'utf8'))

async function complete(path) {
  const lock = await readLock(path)
  const missing = missingEntries(lock)
  const packages = Object.entries(lock.packages).concat(missing)
  lock.packages = Object.fromEntries(packages.sort(([a], [b]) => a.localeCompare(b, 'en')))
  if (missing.length > 0) await writeFile(at(path), `${JSON.stringify(lock, null, 2)}\n`)
  say(`${path}: ${missing.length} entries added`)
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  for (const path of lockFiles) await complete(path).catch(fail)
}
