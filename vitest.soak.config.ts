// The long runs of `npm run soak`: one at a time, without a limit that a slow machine could meet.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/soak/**/*.test.ts'],
    pool: 'forks',
    fileParallelism: false,
    globalSetup: ['scripts/build-before-tests.mjs'],
    testTimeout: 6 * 3_600_000,
    hookTimeout: 600_000,
  },
})
