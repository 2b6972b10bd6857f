// The package's entries: each exists in dist, loads, has types that resolve, is a list of names written by hand, and
// nothing beside them can be reached.
import { mkdir, readFile, rm, symlink, writeFile } from 'node:fs/promises'
import { at, filesBelow, root, run } from '../paths.mjs'

const exists = (path) =>
  readFile(at(path)).then(
    () => true,
    () => false,
  )

export async function check() {
  const { name, exports, bin, files } = JSON.parse(await readFile(at('package.json'), 'utf8'))
  const problems = []
  const modules = []
  for (const [subpath, target] of Object.entries(exports)) {
    const targets = typeof target === 'string' ? [target] : Object.values(target)
    if (subpath.includes('*')) problems.push(`package.json: exports '${subpath}' is a pattern; name each entry`)
    for (const path of targets) {
      if (!(await exists(path))) problems.push(`package.json: exports '${subpath}', but there is no ${path}`)
      const shipped =
        path === './package.json' || files.some((entry) => path.slice(2).split('/')[0] === entry.split('/')[0])
      if (!shipped) problems.push(`package.json: ${path} is exported, but not among 'files'`)
    }
    if (typeof target !== 'string') modules.push({ specifier: name + subpath.slice(1), path: target.default })
  }
  for (const path of Object.values(bin)) {
    if (!(await exists(path))) problems.push(`package.json: bin names ${path}, which is not there`)
  }
  if (problems.length > 0) return problems

  for (const { path } of modules) {
    const source = path.replace('./dist/', 'src/').replace(/\.js$/, '.ts')
    if (/^export \*/m.test(await readFile(at(source), 'utf8'))) {
      problems.push(`${source}: 'export *' in a public entry; write the names`)
    }
  }
  return [...problems, ...(await checkResolution(name, modules)), ...(await checkTypes(name, modules))]
}

/** The package refers to itself by name, as a user's code does. */
async function checkResolution(name, modules) {
  const problems = []
  for (const { specifier } of modules) {
    const code = `const names = Object.keys(await import('${specifier}')); if (names.length === 0) throw 'no names'`
    const result = await run(process.execPath, ['--input-type=module', '--eval', code])
    if (result.code !== 0) problems.push(`import '${specifier}': ${result.output.trim()}`)
  }
  const entries = new Set(modules.map((module) => module.path.slice(2)))
  for (const path of await filesBelow('dist', (file) => file.endsWith('.js') && !entries.has(file))) {
    for (const specifier of [`${name}/${path}`, `${name}/${path.slice('dist/'.length)}`]) {
      if (resolves(specifier)) problems.push(`'${specifier}' can be imported, but is not public`)
    }
  }
  return problems
}

function resolves(specifier) {
  try {
    import.meta.resolve(specifier)
    return true
  } catch {
    return false
  }
}

async function checkTypes(name, modules) {
  const folder = `.cache/exports-${process.pid}`
  try {
    await mkdir(at(folder, 'node_modules'), { recursive: true })
    await symlink(root, at(folder, 'node_modules', name), 'junction')
    await writeFile(at(folder, 'package.json'), '{ "type": "module" }')
    const uses = modules.map(
      ({ specifier }, index) =>
        `import * as entry${index} from '${specifier}'\nexport const use${index} = entry${index}\n`,
    )
    await writeFile(at(folder, 'use.ts'), uses.join(''))
    // The users' own settings may not skip the check of libraries, so neither does this one.
    const options = ['--noEmit', '--strict', '--module', 'nodenext', '--target', 'es2022', '--types', 'node']
    const lib = ['--lib', 'es2023,esnext.disposable', '--pretty', 'false']
    const tsc = [at('node_modules/typescript/bin/tsc'), ...options, ...lib, '--ignoreConfig', `${folder}/use.ts`]
    const result = await run(process.execPath, tsc)
    return result.code === 0 ? [] : result.output.trim().split('\n')
  } finally {
    await rm(at(folder), { recursive: true, force: true })
  }
}
