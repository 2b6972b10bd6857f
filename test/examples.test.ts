// The scripts in examples/ run as they stand and print what they say.
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { expect, onTestFinished, test, vi } from 'vitest'
import { node, testTimeout, tsx } from './docs/node.ts'

vi.setConfig({ testTimeout })

const root = fileURLToPath(new URL('..', import.meta.url))
const run = [join(root, 'dist/cli/main.js'), 'run']

// Those that print nothing by themselves have tests of their own: below, and in test/buffers.
const withArguments = ['word-count.ts', 'dependency-rank.ts', 'buffers-cache.ts']
const names = (await readdir(join(root, 'examples'))).filter(
  (name) => name.endsWith('.ts') && !withArguments.includes(name),
)

test.each(names)('%s', async (name) => {
  const path = join(root, 'examples', name)
  const says = Array.from((await readFile(path, 'utf8')).matchAll(/\/\/ -> (.*)$/gm), (match) => `${match[1]}\n`)
  expect(says).not.toEqual([])
  expect(await node([...tsx, path], root)).toEqual({ code: 0, stdout: says.join(''), stderr: '' })
})

test('word-count.ts, by gearmill run', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gearmill-example-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  await writeFile(join(folder, 'a.txt'), 'To be or not\nto be\n')
  await writeFile(join(folder, 'b.txt'), 'be\n')
  const script = join(root, 'examples/word-count.ts')
  const { code, stdout, stderr } = await node([...run, script, `${folder}/*.txt`], root)
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' })
  expect(stdout.split('\n').slice(0, 3)).toEqual(['4 distinct words', '       3 be', '       2 to'])

  const misused = await node([...run, script], root)
  expect({ ...misused, stderr: misused.stderr.slice(0, 6) }).toEqual({ code: 2, stdout: '', stderr: 'usage:' })
})

test('dependency-rank.ts, on a folder of packages', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'gearmill-packages-'))
  onTestFinished(() => rm(folder, { recursive: true, force: true }))
  const packages = { app: ['left', '@scope/right'], left: ['base'], '@scope/right': ['base', 'missing'], base: [] }
  for (const [name, dependencies] of Object.entries(packages)) {
    await mkdir(join(folder, name), { recursive: true })
    const manifest = { name, dependencies: Object.fromEntries(dependencies.map((other) => [other, '*'])) }
    await writeFile(join(folder, name, 'package.json'), JSON.stringify(manifest))
  }
  const script = join(root, 'examples/dependency-rank.ts')
  // What power iteration in NumPy gives.
  const ranks = [' 47.06 %  base', ' 19.59 %  @scope/right', ' 19.59 %  left', ' 13.75 %  app']
  expect(await node([...tsx, script, folder], root)).toEqual({ code: 0, stdout: `${ranks.join('\n')}\n`, stderr: '' })
})
