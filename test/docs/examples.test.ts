// Every example of the README and the documentation runs as it stands, against the built package, and prints what it says.
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { basename, join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { startServer, type PrivateServer } from '../../src/server/standalone.ts'
import { docstringModule } from './docstrings.ts'
import { node, testTimeout, tsx } from './node.ts'
import { comparable, outputsOf, pageOf, textOf, type Page, type Script } from './page.ts'

vi.setConfig({ testTimeout })

const root = fileURLToPath(new URL('../../', import.meta.url))
// Inside of the repository: there the scripts can import 'gearmill', which is the package itself.
const folder = join(root, '.cache', `docs-${process.pid}`)

const paths = ['README.md', ...(await readdir(join(root, 'docs'))).map((name) => `docs/${name}`)].filter((path) =>
  path.endsWith('.md'),
)
const pages = await Promise.all(
  paths.map(async (path) => ({ path, page: pageOf(await readFile(join(root, path), 'utf8')) })),
)

let server: PrivateServer
beforeAll(async () => {
  server = await startServer()
  for (const { path, page } of pages) for (const script of page.scripts) await write(path, page, script)
})
afterAll(async () => {
  await server.stop()
  await rm(folder, { recursive: true, force: true })
})

const folderOf = (path: string, { parts }: Script): string =>
  join(folder, `${basename(path, '.md')}-${parts[0]?.line ?? 0}`)

async function write(path: string, page: Page, script: Script): Promise<void> {
  const home = folderOf(path, script)
  await mkdir(home, { recursive: true })
  await writeFile(join(home, `app.${script.language}`), textOf(script))
  for (const [name, content] of page.files) await writeFile(join(home, name), content)
}

test('the types of every example are right, those of docstrings included', async () => {
  const config = {
    extends: join(root, 'tsconfig.json'),
    compilerOptions: { skipLibCheck: true, allowJs: true, checkJs: false, rootDir: root },
    include: [join(folder, '**/*.ts')],
    exclude: [],
  }
  await writeFile(join(folder, 'docstrings.ts'), await docstringModule(root))
  const path = join(folder, 'tsconfig.json')
  await writeFile(path, JSON.stringify(config))
  const compiler = join(root, 'node_modules/typescript/bin/tsc')
  const { stdout } = await node([compiler, '-p', path, '--pretty', 'false'], folder)
  expect(stdout).toBe('')
})

describe.each(pages.filter(({ page }) => page.scripts.some(({ onlyTypes }) => !onlyTypes)))(
  '$path',
  ({ path, page }) => {
    test.each(
      page.scripts.filter(({ onlyTypes }) => !onlyTypes).map((script) => ({ script, line: script.parts[0]?.line })),
    )('line $line', async ({ script }) => {
      const loader = script.language === 'ts' ? tsx : []
      const args = [...loader, `app.${script.language}`]
      const { code, stdout, stderr } = await node(args, folderOf(path, script), { GEARMILL_URL: server.url })
      const stated = script.parts.map(({ line, prints }) => ({ line, prints: comparable(prints.join('\n')) }))
      const outputs = outputsOf(stdout)
      const printed = script.parts.map(({ line }, i) => ({ line, prints: outputs[i] ?? 'nothing: it was not reached' }))
      expect({ code, stderr, printed }).toEqual({ code: 0, stderr: '', printed: stated })
    })
  },
)
