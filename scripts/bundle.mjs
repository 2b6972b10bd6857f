// Joins the modules that processes start with into few files: Node takes about half a millisecond for each module that it
// loads, and the client would load some three hundred, an executor some two hundred.
//
// The modules stay beside what is made of them: scripts and benchmarks import single ones, and so does captured code that
// names a module of Gearmill's own.
import { access, readFile } from 'node:fs/promises'
import { dirname, relative, sep } from 'node:path'
import { build } from 'esbuild'
import { at } from './paths.mjs'

/** What is imported from outside, started as a process or a thread, or imported by its URL in an executor. */
export const entries = [
  'index',
  'buffers/index',
  'cli/main',
  'engine/executor/main',
  'engine/call-runner',
  'pipeline/runner',
  'mill/executor-mill',
  'mill/script/runner',
  'matrix/runner',
  'models/runner',
  'kernels/host/main',
  'kernels/sandbox/thread',
  'triggers/host/main',
]

/** Dependencies that become a part: little is needed of zod's hundred modules. */
const included = new Set(['zod'])

const rootMark = '@root-of-build@/'

/**
 * Bundles what is built in a folder. What several entries need becomes a chunk of its own, so that each module is there once
 * in a process, whichever entries it loads.
 *
 * @returns the path and the bytes of each file that is made
 */
export async function bundle(folder) {
  const root = at(folder)
  const there = await Promise.all(entries.map((entry) => exists(`${root}/${entry}.js`)))
  const { outputFiles } = await build({
    absWorkingDir: root,
    entryPoints: entries.filter((_, i) => there[i]).map((entry) => `${entry}.js`),
    outbase: '.',
    outdir: '.',
    chunkNames: 'chunks/[hash]',
    bundle: true,
    keepNames: true,
    splitting: true,
    external: await dependencies(),
    format: 'esm',
    platform: 'node',
    target: 'node20',
    sourcemap: true,
    sourcesContent: false,
    write: false,
    allowOverwrite: true,
    logLevel: 'error',
    plugins: [
      { name: 'places', setup: (builder) => builder.onLoad({ filter: /\.js$/ }, (args) => placed(args, root)) },
    ],
  })
  return outputFiles.map(({ path, contents, text }) => {
    if (!path.endsWith('.js')) return { path, contents }
    const up = relative(dirname(path), root)
    return { path, contents: text.replaceAll(rootMark, up === '' ? './' : `${up.split(sep).join('/')}/`) }
  })
}

/** A module that asks where it is finds its neighbours from the file that it became a part of. */
async function placed({ path }, root) {
  const text = await readFile(path, 'utf8')
  if (!text.includes('import.meta.url')) return undefined
  const own = relative(root, path).split(sep).join('/')
  return { contents: text.replaceAll('import.meta.url', `new URL('${rootMark}${own}', import.meta.url).href`) }
}

async function dependencies() {
  const { dependencies: own, peerDependencies: peers } = JSON.parse(await readFile(at('package.json'), 'utf8'))
  return Object.keys({ ...own, ...peers }).filter((name) => !included.has(name))
}

async function exists(path) {
  return access(path).then(
    () => true,
    () => false,
  )
}
