// Compiles src to dist, and joins what processes load (bundle.mjs). The build goes to a folder of its own and is then moved over
// file by file, so that neither a running process nor a second build sees half of one. Also a module: ensureBuild() does it only
// where the sources have changed.
import { createHash } from 'node:crypto'
import { chmod, cp, mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import { pathToFileURL } from 'node:url'
import { at, fail, filesBelow, run, say, SetupError } from './paths.mjs'

const stampPath = at('dist/.build.json')

const isSource = (path) => path.endsWith('.ts')
// AssemblyScript has a compiler of its own; what it makes is copied like every other asset.
const isAsset = (path) => !isSource(path) && !path.includes('/assembly/')

async function sourceHash() {
  const hash = createHash('sha256')
  const inputs = [
    ...(await filesBelow('src')),
    'tsconfig.json',
    'tsconfig.build.json',
    'scripts/build.mjs',
    'scripts/bundle.mjs',
    'package.json',
  ]
  for (const path of inputs) hash.update(`${path}\0`).update(await readFile(at(path)))
  return hash.digest('hex')
}

async function stamp() {
  try {
    return JSON.parse(await readFile(stampPath, 'utf8'))
  } catch {
    return {}
  }
}

async function sameContent(a, b) {
  const [left, right] = await Promise.all([readFile(a), readFile(b).catch(() => undefined)])
  return right !== undefined && left.equals(right)
}

/** Builds. With `strict`, type errors fail the build and dist stays as it was; else they are printed and what was emitted is used. */
export async function build({ strict = true } = {}) {
  const hash = await sourceHash()
  // As deep as dist, so that the source maps' relative paths hold after the move.
  const folder = `.build-${process.pid}`
  await rm(at(folder), { recursive: true, force: true })
  try {
    const tsc = [at('node_modules/typescript/bin/tsc'), '--pretty', 'false']
    const compiler = await run(process.execPath, [...tsc, '-p', 'tsconfig.build.json', '--outDir', folder])
    if (compiler.code !== 0) {
      if (strict) throw new SetupError(`${compiler.output.trim()}\n\nThe build failed: type errors.`)
      say(`${compiler.output.trim()}\nType errors; going on with what was emitted.`)
    }
    // Only now: what it needs may not have been installed when this module was loaded.
    const { bundle } = await import('./bundle.mjs')
    for (const { path, contents } of await bundle(folder)) {
      await mkdir(dirname(path), { recursive: true })
      await writeFile(path, contents)
    }
    for (const path of await filesBelow('src', isAsset)) {
      const target = at(folder, path.slice('src/'.length))
      await mkdir(dirname(target), { recursive: true })
      await cp(at(path), target)
    }
    const built = await filesBelow(folder)
    for (const path of built) {
      const target = at('dist', path.slice(folder.length + 1))
      if (await sameContent(at(path), target)) continue
      await mkdir(dirname(target), { recursive: true })
      await rename(at(path), target)
    }
    const wanted = new Set(built.map((path) => `dist/${path.slice(folder.length + 1)}`))
    for (const path of await filesBelow('dist')) {
      // A name with a dot in front is the stamp, or the stamp of a build that runs at the same time.
      if (!wanted.has(path) && !path.startsWith('dist/.')) await rm(at(path), { force: true })
    }
    if (wanted.has('dist/cli/main.js')) await chmod(at('dist/cli/main.js'), 0o755)
    const temporary = at(`dist/.build-${process.pid}.json`)
    await mkdir(at('dist'), { recursive: true })
    await writeFile(temporary, JSON.stringify({ hash, clean: compiler.code === 0 }))
    await rename(temporary, stampPath)
  } finally {
    await rm(at(folder), { recursive: true, force: true })
  }
}

/** Builds where dist does not belong to the sources. */
export async function ensureBuild({ strict = true } = {}) {
  const last = await stamp()
  if (last.hash === (await sourceHash()) && (last.clean || !strict)) return
  say('Building dist ...')
  await build({ strict })
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  await build().catch(fail)
}
