// Ends this process when its supervisor is gone. Usually the supervisor's watchdog does it, and removes what was made on disk;
// where there is none, this process looks after itself, even while user code holds the event loop: a thread looks at the
// parent's id.
import { rmdirSync, rmSync } from 'node:fs'
import { dirname } from 'node:path'
import type { Worker } from 'node:worker_threads'

/** Argument of a process that no watchdog watches. */
export const watchesItself = '--watch-parent'

const everyMs = 200

const watch = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { rmSync, rmdirSync } = require('node:fs')
  const { dirname } = require('node:path')
  let scratch
  parentPort.on('message', (path) => (scratch = path))
  setInterval(() => {
    if (process.ppid === workerData.parent) return
    try {
      if (scratch !== undefined) {
        rmSync(scratch, { recursive: true, force: true })
        rmdirSync(dirname(scratch))
      }
    } catch {}
    process.kill(process.pid, 'SIGKILL')
  }, workerData.everyMs)
`

export interface ParentWatch {
  /** Names the folder that this process leaves behind. */
  leaves(scratch: string): void
  /** The parent is gone: ends this process. */
  gone(): never
}

export function endWithParent(): ParentWatch {
  const thread = process.argv.includes(watchesItself) ? watchParent() : undefined
  let folder: string | undefined
  return {
    leaves(scratch) {
      folder = scratch
      thread?.postMessage(scratch)
    },
    gone() {
      if (folder !== undefined) removeScratch(folder)
      process.exit(0)
    },
  }
}

function watchParent(): Worker {
  const { Worker: Thread } = process.getBuiltinModule('node:worker_threads')
  const thread = new Thread(watch, {
    eval: true,
    workerData: { parent: process.ppid, everyMs },
    resourceLimits: { maxOldGenerationSizeMb: 8, maxYoungGenerationSizeMb: 1 },
  })
  thread.unref()
  return thread
}

function removeScratch(scratch: string): void {
  try {
    rmSync(scratch, { recursive: true, force: true })
    // Fails while other executors are there.
    rmdirSync(dirname(scratch))
  } catch {
    // Nothing is lost but the space.
  }
}
