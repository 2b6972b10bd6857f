import { expect, it } from 'vitest'
import { temporaryFolder } from './folder.ts'
import { fuzz } from './fuzzing.ts'

const path = temporaryFolder()

it('reads 20,000 damaged files with a value or a coded error', { timeout: 600_000 }, async () => {
  const { opened } = await fuzz(path(), 20_000, 1)
  // Damage is often deep inside: many files still open.
  expect(opened).toBeGreaterThan(8000)
})
