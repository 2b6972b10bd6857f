// The place in the user's program that a step is named after.
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { callSite, labelOf } from '../../src/pipeline/site.ts'

test('the caller outside of Gearmill, relative to the working directory', () => {
  const site = callSite()
  expect(labelOf('map', site)).toMatch(/^map\(\.\.\.\) at test\/pipeline\/site\.test\.ts:\d+$/)
  expect(site.stack).toContain('site.test.ts')
  expect(labelOf('map', { place: '/elsewhere/app.ts:3:14', stack: '' })).toBe('map(...) at /elsewhere/app.ts:3')
  expect(labelOf('map', { place: '', stack: '' })).toBe('map(...)')
})

test('also where source maps turn the built package into its sources', () => {
  const cache = fileURLToPath(new URL('../../.cache/', import.meta.url))
  mkdirSync(cache, { recursive: true })
  const folder = mkdtempSync(join(cache, 'site-'))
  try {
    const script = `import { callSite } from '../../dist/pipeline/site.js'\nconsole.log(callSite().place)\n`
    writeFileSync(join(folder, 'app.ts'), script)
    const { stdout } = spawnSync(process.execPath, ['--import', import.meta.resolve('tsx'), 'app.ts'], { cwd: folder })
    expect(stdout.toString().trim()).toBe(`${folder}/app.ts:2:13`)
  } finally {
    rmSync(folder, { recursive: true, force: true })
  }
})
