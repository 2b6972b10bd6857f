// `npm test`: sets up what is missing, runs the tests, and ends with a line that counts them.
import { fail } from './paths.mjs'
import { setup } from './setup.mjs'
import { summary, vitest } from './vitest.mjs'

try {
  await setup({ build: 'lenient' })
  const result = await vitest(process.argv.slice(2))
  process.exitCode = result.code
  process.stdout.write(`${summary(result)}\n`)
} catch (error) {
  fail(error)
}
