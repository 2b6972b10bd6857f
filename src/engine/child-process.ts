// How the processes of a worker are started that run code of users: executors, and the hosts of triggers and kernels. Each
// has a folder of its own and a position file, in which whoever started it can read after its death what it was doing.
import { fork, type ChildProcess } from 'node:child_process'
import { existsSync, mkdirSync, openSync, unlinkSync } from 'node:fs'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** V8's default makes decoding of records three times slower. */
const youngGenerationMb = 64

export interface StartedChild {
  readonly child: ChildProcess
  /** Descriptor of the position file; in the child it is descriptor 4. The file goes when both have closed it. */
  readonly positionFile: number
}

/**
 * Starts a module of the package as a process.
 *
 * @param module below the package's compiled files, such as 'engine/executor/main.js'
 * @param scratch folder that is made for it
 * @param memoryMb limit of its memory, where it has one
 */
export function startChild(module: string, scratch: string, memoryMb = Infinity): StartedChild {
  mkdirSync(scratch, { recursive: true, mode: 0o700 })
  const path = join(scratch, 'position')
  const positionFile = openSync(path, 'w+', 0o600)
  unlinkSync(path)
  const child = fork(compiled(module), [], {
    execArgv: [`--max-semi-space-size=${Math.min(youngGenerationMb, Math.ceil(memoryMb / 16))}`],
    serialization: 'advanced',
    stdio: ['ignore', 'inherit', 'inherit', 'ipc', positionFile],
    // A debugger or coverage tool of the client is not meant for its children.
    env: { ...process.env, NODE_OPTIONS: '' },
  })
  // That it could not be started is told by its exit, too.
  child.on('error', () => undefined)
  return { child, positionFile }
}

// Always compiled JavaScript: a child of a process that runs the sources has no loader for them.
function compiled(module: string): string {
  const here = fileURLToPath(new URL(`../${module}`, import.meta.url))
  return existsSync(here) ? here : fileURLToPath(new URL(`../../dist/${module}`, import.meta.url))
}
