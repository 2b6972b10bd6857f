// The tests of `npm test`. They start real servers and processes: two files at a time, in processes of their own.
import { defineConfig } from 'vitest/config'

export default defineConfig({
  test: {
    include: ['test/**/*.test.ts'],
    exclude: ['test/soak/**'],
    pool: 'forks',
    fileParallelism: true,
    maxWorkers: 2,
    globalSetup: ['scripts/build-before-tests.mjs'],
    // Against what hangs, not against what is slow: on a machine with other work, tests of 2 s have taken 20.
    testTimeout: 180_000,
    hookTimeout: 180_000,
    teardownTimeout: 20_000,
    // A condition is waited for, however busy the machine is: no test says how fast something has to be.
    expect: { poll: { timeout: 30_000 } },
    // Where nobody can look and type it again, a failure that does not come three times is shown as "(retry xN)".
    retry: process.env.CI === undefined ? 0 : 2,
  },
})
