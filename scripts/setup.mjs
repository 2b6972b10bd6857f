// Makes a clone ready to run, as far as it is not: Node's version, dependencies, the build, a server program.
// Silent where there is nothing to do; says what it does before it does it.
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import { ensureBuild } from './build.mjs'
import { at, run, say, SetupError } from './paths.mjs'
import { ensureServer } from './server.mjs'

/** `build: 'strict'` fails on type errors; `'lenient'` prints them and goes on with what was emitted. */
export async function setup({ server = true, build = 'strict' } = {}) {
  checkNode()
  await ensureDependencies()
  await ensureBuild({ strict: build === 'strict' })
  if (server) await ensureServer()
}

function checkNode() {
  const [major, minor] = process.versions.node.split('.').map(Number)
  if (major < 20 || (major === 20 && minor < 19)) {
    throw new SetupError(`Gearmill needs Node 20.19 or newer; this is ${process.version}. See https://nodejs.org/`)
  }
}

/** What is installed is compared package by package: a clone that was set up with `npm install` is left as it is. */
async function dependenciesAreInstalled() {
  const read = async (path) => JSON.parse(await readFile(at(path), 'utf8'))
  try {
    const [wanted, installed] = await Promise.all([read('package-lock.json'), read('node_modules/.package-lock.json')])
    return Object.entries(wanted.packages).every(
      ([path, entry]) => path === '' || entry.optional || installed.packages[path]?.version === entry.version,
    )
  } catch (error) {
    if (error.code === 'ENOENT' || error instanceof SyntaxError) return false
    throw error
  }
}

async function ensureDependencies() {
  if (await dependenciesAreInstalled()) return
  const args = ['ci', '--include=dev', '--no-audit', '--no-fund', '--loglevel=error']
  say(`Installing dependencies: npm ${args[0]}`)
  // Where npm lets it, the script of onnxruntime-node downloads what only graphics cards need.
  process.env.ONNXRUNTIME_NODE_INSTALL ??= 'skip'
  const npm = process.env.npm_execpath
  const result =
    npm !== undefined && basename(npm).startsWith('npm-cli')
      ? await run(process.execPath, [npm, ...args])
      : await run('npm', args, { shell: process.platform === 'win32' })
  if (result.code !== 0) throw new SetupError(`${result.output.trim()}\n\nnpm ci failed: is the registry reachable?`)
}
