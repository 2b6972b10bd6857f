// The build: what it makes, when it builds at all, and that neither type errors nor a second build leave half of one.
import { access, readFile, readdir, stat } from 'node:fs/promises'
import { describe, expect, it } from 'vitest'
import { Project } from './project.ts'

const files = {
  'src/cli/main.ts': `#!/usr/bin/env node\nimport { n } from '../n.ts'\nconsole.log(n)\n`,
  'src/n.ts': 'export const n: number = 1\n',
  'src/redis/functions/f.lua': 'return 1\n',
}

async function dist(project: Project): Promise<string[]> {
  const entries = await readdir(project.at('dist'), { recursive: true, withFileTypes: true })
  return entries
    .filter((entry) => entry.isFile() && !entry.name.startsWith('.'))
    .map((entry) => entry.name)
    .sort()
}

const ensure = (project: Project) =>
  project.node(['--input-type=module', '-e', `await (await import('./scripts/build.mjs')).ensureBuild()`])

describe('the build', () => {
  it('bundles modules that are there', async () => {
    const { entries } = (await import(new URL('../../scripts/bundle.mjs', import.meta.url).href)) as {
      entries: string[]
    }
    expect(entries).toContain('index')
    await Promise.all(entries.map((entry) => access(new URL(`../../src/${entry}.ts`, import.meta.url))))
  })

  it('makes one file of what the program loads, which finds its neighbours', async () => {
    await using project = await Project.make({
      ...files,
      'src/index.ts': `export { text } from './redis/place.ts'\nexport { late } from './late.ts'\nexport class Mill {}\n`,
      'src/late.ts': `export const late = async (): Promise<string> => (await import('./redis/place.ts')).text()\n`,
      'src/redis/place.ts': `import { readFileSync } from 'node:fs'
export const text = (): string => readFileSync(new URL('functions/f.lua', import.meta.url), 'utf8')\n`,
      'src/cli/main.ts': `import { late, Mill, text } from '../index.ts'\nconsole.log(text(), await late(), Mill.name)\n`,
    })
    expect(await project.node(['scripts/build.mjs'])).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(await project.node(['dist/cli/main.js'])).toMatchObject({ stdout: 'return 1\n return 1\n Mill\n' })
    expect(await readFile(project.at('dist/cli/main.js'), 'utf8')).not.toMatch(/from "\.\.\/index/)
  })

  it('compiles, copies what is no TypeScript, and makes the program executable', async () => {
    await using project = await Project.make(files)
    expect(await project.node(['scripts/build.mjs'])).toEqual({ code: 0, stdout: '', stderr: '' })
    expect(await dist(project)).toEqual(['f.lua', 'main.d.ts', 'main.js', 'main.js.map', 'n.d.ts', 'n.js', 'n.js.map'])
    expect(await project.node(['dist/cli/main.js'])).toMatchObject({ code: 0, stdout: '1\n' })
    expect((await stat(project.at('dist/cli/main.js'))).mode & 0o111).toBe(0o111)
    expect((await readdir(project.at('.'))).filter((name) => name.startsWith('.build-'))).toEqual([])
  })

  it('happens only where the sources have changed, and takes away what has no source any more', async () => {
    await using project = await Project.make({ ...files, 'src/old.ts': 'export {}\n', 'src/old.lua': 'return 0\n' })
    expect((await ensure(project)).stderr).toBe('Building dist ...\n')
    expect((await ensure(project)).stderr).toBe('')
    await project.node(['-e', `for (const f of ['src/old.ts', 'src/old.lua']) require('fs').rmSync(f)`])
    await project.write('src/n.ts', 'export const n: number = 2\n')
    expect((await ensure(project)).stderr).toBe('Building dist ...\n')
    expect(await dist(project)).not.toContain('old.js')
    expect(await dist(project)).not.toContain('old.lua')
    expect(await project.node(['dist/cli/main.js'])).toMatchObject({ stdout: '2\n' })
  })

  it('leaves dist as it was where there is a type error', async () => {
    await using project = await Project.make(files)
    await project.node(['scripts/build.mjs'])
    await project.write('src/n.ts', `export const n: number = 'two'\n`)
    const { code, stderr } = await project.node(['scripts/build.mjs'])
    expect(code).toBe(1)
    expect(stderr).toContain('src/n.ts(1,14): error TS2322')
    expect(await readFile(project.at('dist/n.js'), 'utf8')).toContain('n = 1')
    expect((await ensure(project)).code).toBe(1)
  })

  it('survives another one at the same time', async () => {
    await using project = await Project.make(files)
    const all = await Promise.all(Array.from({ length: 4 }, () => project.node(['scripts/build.mjs'])))
    expect(all.map(({ code, stderr }) => ({ code, stderr }))).toEqual(Array(4).fill({ code: 0, stderr: '' }))
    expect(await dist(project)).toHaveLength(7)
    expect(await project.node(['dist/cli/main.js'])).toMatchObject({ stdout: '1\n' })
  })
})
