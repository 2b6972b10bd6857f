import { execFileSync } from 'node:child_process'
import { expect, it } from 'vitest'

it('every .wasm file is what its sources compile to', () => {
  const check = () => execFileSync(process.execPath, ['scripts/build-wasm.mjs', '--check'], { stdio: 'pipe' })
  expect(check).not.toThrow()
})
