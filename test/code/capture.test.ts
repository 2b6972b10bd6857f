// The cases of cases/cases.ts, built in every way that users build, captured in one process and run in another.
import { execFile } from 'node:child_process'
import { copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'
import { deserialize } from 'node:v8'
import { build, type BuildOptions } from 'esbuild'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { captureCode } from '../../src/code/capture.ts'
import { cases } from './cases/cases.ts'

const run = promisify(execFile)
const root = fileURLToPath(new URL('../..', import.meta.url))
const dist = join(root, 'dist')
const sources = join(root, 'test/code/cases')

type Results = Record<string, { readonly value?: unknown; readonly error?: string; readonly cause?: string }>

let scratch = ''
beforeAll(async () => {
  // Below the project, so that the cases find its packages.
  await mkdir(join(root, '.cache'), { recursive: true })
  scratch = await mkdtemp(join(root, '.cache/code-test-'))
})
afterAll(() => rm(scratch, { recursive: true, force: true }))

async function runCases(folder: string): Promise<Results> {
  const { stdout } = await run(process.execPath, [join(sources, 'load-cases.mjs'), dist, folder])
  return deserialize(Buffer.from(stdout, 'base64')) as Results
}

async function captureWith(nodeOptions: readonly string[], module: string, ...how: string[]): Promise<Results> {
  const folder = await mkdtemp(join(scratch, 'captured-'))
  await run(process.execPath, [...nodeOptions, join(sources, 'capture-cases.mjs'), dist, module, folder, ...how])
  return runCases(folder)
}

async function copied(type: 'commonjs' | 'module'): Promise<string> {
  const folder = await mkdtemp(join(scratch, type))
  await writeFile(join(folder, 'package.json'), JSON.stringify({ type }))
  for (const name of ['cases.ts', 'local-module.ts']) await copyFile(join(sources, name), join(folder, name))
  return folder
}

async function tsc(type: 'commonjs' | 'module'): Promise<string> {
  const folder = await copied(type)
  const compilerOptions = {
    noEmit: false,
    sourceMap: true,
    verbatimModuleSyntax: false,
    typeRoots: [join(root, 'node_modules/@types')],
  }
  const config = { extends: join(root, 'tsconfig.json'), compilerOptions, include: ['*.ts'] }
  await writeFile(join(folder, 'tsconfig.json'), JSON.stringify(config))
  await run(process.execPath, [join(root, 'node_modules/typescript/bin/tsc'), '-p', folder])
  return join(folder, 'cases.js')
}

async function esbuild(options: BuildOptions): Promise<string> {
  const outfile = join(scratch, options.minify ? 'bundle.mjs' : 'plain.mjs')
  const entryPoints = [join(sources, 'cases.ts')]
  await build({
    entryPoints,
    outfile,
    bundle: true,
    format: 'esm',
    platform: 'node',
    packages: 'external',
    sourcemap: 'inline',
    ...options,
  })
  return outfile
}

const builds: Record<string, () => Promise<Results>> = {
  vitest: async () => {
    const folder = await mkdtemp(join(scratch, 'captured-'))
    for (const [at, { name, roots, use }] of cases.entries()) {
      let content: Uint8Array | string
      let kind = 'code'
      try {
        content = captureCode([...roots, use].map((value) => ({ value, label: name }))).bytes
      } catch (error) {
        kind = 'error'
        content = String((error as Error).stack)
      }
      await writeFile(join(folder, `${at}.${kind}`), content)
    }
    return runCases(folder)
  },
  tsx: () => captureWith(['--import', 'tsx'], join(sources, 'cases.ts')),
  'tsx, CommonJS': async () => captureWith(['--import', 'tsx'], join(await copied('commonjs'), 'cases.ts'), 'require'),
  'tsc, ESM': async () => captureWith([], await tsc('module')),
  'tsc, CommonJS': async () => captureWith([], await tsc('commonjs')),
  'a bundle': async () => captureWith([], await esbuild({})),
  'a minified bundle': async () => captureWith([], await esbuild({ minify: true, sourcemap: true })),
}

describe.each(Object.entries(builds))('captured under %s', (_, captureAll) => {
  let results: Results = {}
  beforeAll(async () => {
    results = await captureAll()
  })
  test.each(cases.map(({ name, expected }, at) => [name, at, expected] as const))('%s', (_name, at, expected) => {
    const result = results[at]
    expect(result?.error === undefined ? undefined : `${result.error}\n${result.cause}`).toBeUndefined()
    expect(result?.value).toEqual(expected)
  })
})
