// The processes of a worker that run code of users, as seen by who starts them: executors, and the hosts of triggers and
// kernels. Each has a folder of its own and a position file, in which can be read after its death what it was doing. What
// they do with messages is in executor/serve-parent.ts.
import { fork, type ChildProcess } from 'node:child_process'
import { closeSync, existsSync, mkdirSync, openSync, rmSync, unlinkSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { forgetProcess, watchDirectory, watchProcess } from '../server/watchdog.ts'
import { watchesItself } from './executor/parent-watch.ts'

/** V8's default makes decoding of records three times slower. */
const youngGenerationMb = 64

export interface ChildOptions<Incoming, Outgoing> {
  /** Below the package's compiled files, such as 'engine/executor/main.js'. */
  readonly module: string
  /** Folder that is made for it, and goes with it. The one above is of all processes of the owner, and goes with this process. */
  readonly scratch: string
  /** Limit of its memory, where its young generation has to fit in. */
  readonly memoryMb?: number
  /** The first message. */
  readonly setup: Outgoing
  readonly heard: (message: Incoming) => void
  /** It is gone; its position file can still be read. `asked`: close() was called. */
  readonly left: (how: string, asked: boolean) => void
}

export class Child<Incoming, Outgoing extends object> {
  /** Descriptor of the position file; in the child it is descriptor 4. The file goes when both have closed it. */
  readonly positionFile: number
  readonly #process: ChildProcess
  readonly #exited: Promise<void>
  #asked = false
  #gone = false

  constructor({ module, scratch, memoryMb = Infinity, setup, heard, left }: ChildOptions<Incoming, Outgoing>) {
    mkdirSync(scratch, { recursive: true, mode: 0o700 })
    const path = join(scratch, 'position')
    this.positionFile = openSync(path, 'w+', 0o600)
    unlinkSync(path)
    const watched = watchDirectory(dirname(scratch))
    const args = [pathToFileURL(compiled(module)).href, ...(watched ? [] : [watchesItself])]
    const child = fork(compiled('engine/executor/start.js'), args, {
      execArgv: [`--max-semi-space-size=${Math.min(youngGenerationMb, Math.ceil(memoryMb / 16))}`],
      serialization: 'advanced',
      stdio: ['ignore', 'inherit', 'inherit', 'ipc', this.positionFile],
      // A debugger or coverage tool of the client is not meant for its children.
      env: { ...process.env, NODE_OPTIONS: '' },
    })
    this.#process = child
    const { pid } = child
    if (pid !== undefined) watchProcess(pid, 'temporary')
    // That it could not be started is told by its exit, too.
    child.on('error', () => undefined)
    this.#exited = new Promise((resolve) => {
      child.once('exit', (code, signal) => {
        this.#gone = true
        if (pid !== undefined) forgetProcess(pid)
        left(signal === null ? `exited with code ${code}` : `was killed by ${signal}`, this.#asked)
        closeSync(this.positionFile)
        rmSync(scratch, { recursive: true, force: true })
        resolve()
      })
    })
    child.on('message', heard)
    this.send(setup)
  }

  /** Undefined where it could not be started. */
  get pid(): number | undefined {
    return this.#process.pid
  }

  get gone(): boolean {
    return this.#gone
  }

  /** It was asked to end. */
  get closing(): boolean {
    return this.#asked
  }

  send(message: Outgoing): void {
    if (this.#process.connected) this.#process.send(message)
  }

  kill(): void {
    this.#process.kill('SIGKILL')
  }

  /** Ends it: in peace, or after `graceMs` by force. */
  async close(graceMs: number): Promise<void> {
    this.#asked = true
    if (this.#gone) return
    if (this.#process.connected) this.#process.send({ type: 'close' })
    const force = setTimeout(() => this.kill(), graceMs)
    await this.#exited
    clearTimeout(force)
  }
}

// Always compiled JavaScript: a child of a process that runs the sources has no loader for them.
function compiled(module: string): string {
  const here = fileURLToPath(new URL(`../${module}`, import.meta.url))
  return existsSync(here) ? here : fileURLToPath(new URL(`../../dist/${module}`, import.meta.url))
}
