// Joins the modules that processes start with into few files: Node takes about half a millisecond for each module that it
// loads, and the client would load some three hundred, an executor some two hundred.
//
// The modules stay beside what is made of them: scripts and benchmarks import single ones, and so does captured code that
// names a module of Gearmill's own.
import { access, readFile } from 'node:fs/promises'
import { dirname, relative, resolve, sep } from 'node:path'
import { build } from 'esbuild'
import { at } from './paths.mjs'

/** What is imported from outside, started as a process or a thread, or imported by its URL in an executor. */
export const entries = [
  'index',
  'buffers/index',
  'cli/main',
  'engine/executor/start',
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

/** What an executor of pipelines loads. */
const executor = ['engine/executor/main', 'pipeline/runner', 'mill/executor-mill']
/** What executors and hosts load. Scripts, which have much of the client, do not count. */
const processes = [
  ...executor,
  ...['engine/call-runner', 'matrix/runner', 'models/runner', 'kernels/host/main', 'triggers/host/main'],
]
/** Entries that load no more than they need: they are used without the rest. */
const lean = new Set(['buffers/index', 'engine/executor/start', 'kernels/sandbox/thread'])

/** Dependencies that become a part: little is needed of zod's hundred modules. */
const included = new Set(['zod'])

const rootMark = '@root-of-build@/'
const coreMark = '@core-of-build@/'

/**
 * Bundles what is built in a folder. What several entries need becomes a chunk of its own, so that each module is there once
 * in a process, whichever entries it loads.
 *
 * @returns the path and the bytes of each file that is made
 */
export async function bundle(folder) {
  const root = at(folder)
  const there = await Promise.all(entries.map((entry) => exists(`${root}/${entry}.js`)))
  const found = entries.filter((_, i) => there[i])
  const external = await dependencies()
  const outputFiles = await merged(root, found, external, await parted(root, found, external))
  return outputFiles.map(({ path, contents, text }) => {
    if (!path.endsWith('.js')) return { path, contents }
    const up = relative(dirname(path), root)
    return { path, contents: text.replaceAll(rootMark, up === '' ? './' : `${up.split(sep).join('/')}/`) }
  })
}

const options = {
  outbase: '.',
  outdir: '.',
  chunkNames: 'chunks/[hash]',
  bundle: true,
  splitting: true,
  format: 'esm',
  platform: 'node',
  target: 'node20',
  sourcesContent: false,
  write: false,
  logLevel: 'error',
}

/** Joins modules, without what nobody uses: one chunk for each set of entries that share something, some fifty in all. */
function parted(root, found, external) {
  return build({
    ...options,
    absWorkingDir: root,
    entryPoints: found.map((entry) => `${entry}.js`),
    external,
    keepNames: true,
    sourcemap: 'inline',
    metafile: true,
    allowOverwrite: true,
    plugins: [
      { name: 'places', setup: (builder) => builder.onLoad({ filter: /\.js$/ }, (args) => placed(args, root)) },
    ],
  })
}

/**
 * Joins chunks, since each costs a process a millisecond: all entries take what the client shares with any process, and what is
 * loaded in processes takes what executors have.
 */
async function merged(root, found, external, { outputFiles, metafile }) {
  const texts = new Map(outputFiles.map(({ path, text }) => [path, text]))
  const [inClient, inProcess, inExecutor] = [['index'], processes, executor].map((names) => loadedBy(names, metafile))
  const cores = {
    shared: [...inClient].filter((path) => inProcess.has(path)),
    own: [...inExecutor].filter((path) => !inClient.has(path)),
  }
  const coresOf = (entry) => {
    if (!entries.includes(entry) || lean.has(entry)) return []
    return processes.includes(entry) || entry === 'mill/script/runner' ? ['shared', 'own'] : ['shared']
  }
  const load = ({ path }) => {
    const own = relative(root, path).split(sep).join('/')
    const takes = coresOf(own.replace(/\.js$/, '')).map((name) => `import '${coreMark}${name}';`)
    return { contents: `${texts.get(path)}\n${takes.join('')}` }
  }
  const { outputFiles: joined } = await build({
    ...options,
    absWorkingDir: root,
    entryPoints: found.map((entry) => ({ in: `./${entry}.js`, out: entry })),
    external,
    // What is not used is gone already.
    treeShaking: false,
    sourcemap: true,
    plugins: [
      {
        name: 'chunks',
        setup(builder) {
          builder.onResolve({ filter: /^\.\.?\// }, ({ path, resolveDir }) => ({ path: resolve(resolveDir, path) }))
          builder.onLoad({ filter: /\.js$/ }, load)
          builder.onResolve({ filter: new RegExp(`^${coreMark}`) }, ({ path }) => ({ path, namespace: 'core' }))
          builder.onLoad({ filter: /./, namespace: 'core' }, ({ path }) => ({
            contents: cores[path.slice(coreMark.length)].map((each) => `import './${each}';`).join(''),
            resolveDir: root,
          }))
        },
      },
    ],
  })
  return joined
}

/** The chunks that entries load as they are loaded. */
function loadedBy(names, { outputs }) {
  const chunks = new Set()
  const visit = (path) => {
    if (chunks.has(path) || outputs[path] === undefined) return
    if (path.startsWith('chunks/')) chunks.add(path)
    for (const { path: next, kind } of outputs[path].imports) if (kind === 'import-statement') visit(next)
  }
  for (const name of names) visit(`${name}.js`)
  return chunks
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
