// The example and the guide are programs: they run as they are printed.
import { execFile, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { temporaryFolder } from './folder.ts'

const path = temporaryFolder()
const root = new URL('../..', import.meta.url).pathname

it('a cluster of HTTP servers shares a cache', async () => {
  const args = ['--import', 'tsx', join(root, 'examples/buffers-cache.ts'), '0', '3', path('pages.gmb')]
  const cluster = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] })
  try {
    const [line] = (await once(createInterface(cluster.stdout), 'line')) as [string]
    const base = /http:\S+\/pages\//.exec(line)?.[0] ?? ''
    const ask = async (name: string, method = 'GET', body?: string) => {
      const headers = { connection: 'close' }
      const response = await fetch(base + name, { method, headers, ...(body === undefined ? {} : { body }) })
      return { status: response.status, body: await response.text(), server: response.headers.get('server') }
    }
    expect((await ask('home')).status).toBe(404)
    for (let version = 1; version <= 3; version++) {
      expect((await ask('home', 'PUT', `version ${version}`)).status).toBe(204)
      const answers = await Promise.all(Array.from({ length: 12 }, () => ask('home')))
      expect(new Set(answers.map(({ body }) => body))).toEqual(new Set([`version ${version}`]))
      expect(new Set(answers.map(({ server }) => server)).size).toBe(3)
    }
    expect((await ask('home', 'DELETE')).status).toBe(204)
    expect((await ask('home')).status).toBe(404)
  } finally {
    const ended = once(cluster, 'exit')
    cluster.kill('SIGTERM')
    await ended
  }
})

it('the code of the guide runs', async () => {
  const guide = readFileSync(join(root, 'docs/buffers.md'), 'utf8')
  const blocks = [...guide.matchAll(/```ts(?: continued)?\n(.*?)```/gs)].map((match) => match[1] ?? '')
  expect(blocks.length).toBeGreaterThan(6)
  // Inside of the package, so that it can import itself by its name.
  mkdirSync(join(root, '.cache'), { recursive: true })
  const folder = mkdtempSync(join(root, '.cache', 'guide-'))
  try {
    // Every `expression // value` is checked against its comment.
    const code = blocks
      .join('\n')
      .replace(/^((?:\w+\.)[^=\n]*?) \/\/ ([\d'{[]\S*?|true|\{.*?\})(?:[:;,].*)?$/gm, 'assert.deepEqual($1, $2)')
    expect(code.match(/assert\.deepEqual/g)?.length).toBeGreaterThan(6)
    const script = join(folder, 'guide.ts')
    writeFileSync(script, `import assert from 'node:assert/strict'\n${code}`)
    await promisify(execFile)(process.execPath, ['--import', 'tsx', script], { cwd: folder })
  } finally {
    rmSync(folder, { recursive: true })
  }
})
