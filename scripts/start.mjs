// `npm start`: sets up what is missing, then runs the demo with the arguments given.
import { at, fail, foreground } from './paths.mjs'
import { setup } from './setup.mjs'

try {
  await setup()
  process.exitCode = await foreground([at('dist/cli/main.js'), 'demo', ...process.argv.slice(2)], {
    cwd: process.cwd(),
  })
} catch (error) {
  fail(error)
}
