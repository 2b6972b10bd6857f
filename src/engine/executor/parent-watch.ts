// Ends this process when its supervisor is gone, even while user code holds the event loop: a thread looks at the parent's id.
import { Worker } from 'node:worker_threads'

const everyMs = 200

const watch = `
  const { parentPort, workerData } = require('node:worker_threads')
  setInterval(() => {
    if (process.ppid !== workerData.parent) process.kill(process.pid, 'SIGKILL')
  }, workerData.everyMs)
`

export function endWithParent(): void {
  const thread = new Worker(watch, {
    eval: true,
    workerData: { parent: process.ppid, everyMs },
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 },
  })
  thread.unref()
}
