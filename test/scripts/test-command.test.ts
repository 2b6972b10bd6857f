// `npm test` ends with a line that counts, and fails where anything did.
import { describe, expect, it } from 'vitest'
import { Project } from './project.ts'

const passing = `import { it, expect } from 'vitest'\nit('a', () => expect(1).toBe(1))\nit('b', () => expect(1).toBe(1))\nit.skip('c', () => {})\n`
const failing = `import { it, expect } from 'vitest'\nit('d', () => expect(1).toBe(2))\n`
const unloadable = `import './nowhere.ts'\n`
const unhandled = `import { it, expect } from 'vitest'\nit('e', () => { void Promise.reject(new TypeError('nobody waits')); expect(1).toBe(1) })\n`

async function test(files: Readonly<Record<string, string>>, ...args: string[]) {
  await using project = await Project.make(files)
  await project.take('src/errors.ts', 'src/server/binary.ts', 'vitest.config.ts')
  const { PATH, HOME } = process.env
  const { code, stdout } = await project.node(['scripts/test.mjs', ...args], { PATH, HOME, CI: 'true' })
  return { code, last: stdout.trimEnd().split('\n').at(-1) }
}

describe('npm test', () => {
  it('counts what passed and what was left out', async () => {
    expect(await test({ 'test/a.test.ts': passing })).toEqual({ code: 0, last: '2 passed, 0 failed, 1 skipped' })
  })

  it('counts failures, and a file that cannot be loaded as one', async () => {
    const files = { 'test/a.test.ts': passing, 'test/b.test.ts': failing, 'test/c.test.ts': unloadable }
    expect(await test(files)).toEqual({ code: 1, last: '2 passed, 2 failed, 1 skipped' })
  })

  it('hands on arguments', async () => {
    const files = { 'test/a.test.ts': passing, 'test/b.test.ts': failing }
    expect(await test(files, 'test/b', '--passWithNoTests')).toEqual({ code: 1, last: '0 passed, 1 failed' })
  })

  it('fails on an error that no test waits for', async () => {
    expect(await test({ 'test/a.test.ts': unhandled })).toEqual({ code: 1, last: '1 passed, 1 failed' })
  })
})
