// `npm run soak`: the long runs (memory, hours of faults), which `npm test` leaves out.
import { fail } from './paths.mjs'
import { setup } from './setup.mjs'
import { summary, vitest } from './vitest.mjs'

try {
  await setup()
  const result = await vitest(['--config', 'vitest.soak.config.ts', ...process.argv.slice(2)])
  process.exitCode = result.code
  process.stdout.write(`${summary(result)}\n`)
} catch (error) {
  fail(error)
}
