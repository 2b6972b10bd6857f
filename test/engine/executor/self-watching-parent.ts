// A parent without a watchdog, and its child, whose event loop is held for ever; tells the child's pid once it is.
import { fork } from 'node:child_process'
import { mkdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { endWithParent, watchesItself } from '../../../src/engine/executor/parent-watch.ts'

const [scratch = '', role] = process.argv.slice(2)
if (role === undefined) {
  const child = fork(fileURLToPath(import.meta.url), [scratch, watchesItself], { execArgv: ['--import', 'tsx'] })
  child.on('message', () => process.stdout.write(`${child.pid}\n`))
} else {
  mkdirSync(scratch, { recursive: true })
  const parent = endWithParent()
  parent.leaves(scratch)
  process.send?.('held', () => {
    for (;;);
  })
}
