// A supervisor's view of one executor: starting it, giving it tasks, watching time and memory, and what it left behind when
// it died.
import type { Death, DeathCode } from './attempts.ts'
import { Child } from './child-process.ts'
import { readLastWords, readPosition } from './executor/position.ts'
import type { ExecutorSetup, FromExecutor, TaskMessage, TaskOutcome, ToExecutor } from './protocol.ts'
import { residentBytes } from './realm-watch.ts'

const mib = 1024 * 1024

export interface ExecutorEvents {
  ended(task: TaskMessage, outcome: TaskOutcome): void
  /** The process is gone; `death` says why, as far as that can be known, `maxAttempts` is of the task, where it had read that. */
  died(task: TaskMessage | undefined, maxAttempts: number | undefined, death: Death): void
  log(level: (FromExecutor & { type: 'log' })['level'], text: string): void
  /** It is about to be killed for the memory that it uses. */
  overMemory(bytes: number): void
}

interface Limits {
  readonly timeoutMs: number
  readonly memoryMb: number
  readonly maxAttempts: number
}

export class ExecutorProcess {
  /** Key of the pool that it is of. */
  readonly pool: string
  /** Realms that it has loaded. */
  readonly realms = new Set<string>()
  task: TaskMessage | undefined
  readonly #child: Child<FromExecutor, ToExecutor>
  readonly #events: ExecutorEvents
  readonly #memoryMb: number
  #limits: Limits | undefined
  #startedAt = 0
  #killedFor: { code: DeathCode; message: string } | undefined
  readonly ready: Promise<void>

  constructor(
    setup: Omit<ExecutorSetup, 'type' | 'scratch'>,
    scratch: string,
    memoryMb: number,
    pool: string,
    events: ExecutorEvents,
  ) {
    this.pool = pool
    this.#events = events
    this.#memoryMb = memoryMb
    let becomeReady = (): void => undefined
    this.ready = new Promise((resolve) => (becomeReady = resolve))
    this.#child = new Child({
      module: 'engine/executor/main.js',
      scratch,
      memoryMb,
      setup: { ...setup, type: 'setup', scratch },
      heard: (message) => {
        if (message.type === 'ready') becomeReady()
        else this.#hear(message)
      },
      left: (how, asked) => {
        this.#left(how, asked)
        becomeReady()
      },
    })
  }

  /** Undefined once it is gone. */
  get pid(): number | undefined {
    return this.#child.gone ? undefined : this.#child.pid
  }

  get alive(): boolean {
    return !this.#child.gone && !this.#child.closing
  }

  run(task: TaskMessage): void {
    this.task = task
    this.#limits = undefined
    this.#startedAt = performance.now()
    this.#child.send(task)
  }

  abort(entry: string): void {
    if (this.task?.entry === entry) this.#child.send({ type: 'abort', entry })
  }

  forget(execution: string): void {
    this.#child.send({ type: 'forget', execution })
  }

  unload(realm: string): void {
    this.realms.delete(realm)
    this.#child.send({ type: 'unload', realm })
  }

  /** Kills it where its task is over a limit. Called ten times a second. */
  watch(): void {
    const { pid } = this
    if (!this.task || pid === undefined || this.#killedFor) return
    const limits = this.#limits
    const ranMs = performance.now() - this.#startedAt
    if (limits && limits.timeoutMs > 0 && ranMs > limits.timeoutMs) {
      this.#kill('EXECUTION_TIMEOUT', `not done within ${limits.timeoutMs} ms`)
      return
    }
    const most = limits && limits.memoryMb > 0 ? Math.min(limits.memoryMb, this.#memoryMb) : this.#memoryMb
    const used = residentBytes(pid)
    if (used !== undefined && used > most * mib) {
      this.#events.overMemory(used)
      this.#kill('EXECUTION_MEMORY', `the executor used ${Math.round(used / mib)} MiB; its limit is ${most} MiB`)
    }
  }

  /** Ends a task that does not react to an abort. */
  killHung(message: string): void {
    this.#kill('EXECUTION_TIMEOUT', message)
  }

  #kill(code: DeathCode, message: string): void {
    this.#killedFor = { code, message }
    this.#child.kill()
  }

  #hear(message: FromExecutor): void {
    if (message.type === 'limits') {
      if (message.entry !== this.task?.entry) return
      // The start of the process and the loading of code are not the task's time: each has the whole limit for itself.
      this.#limits = message
      this.#startedAt = performance.now()
    } else if (message.type === 'log') {
      this.#events.log(message.level, message.text)
    } else if (message.type === 'ended' && message.entry === this.task?.entry) {
      const { task } = this
      this.task = undefined
      this.#events.ended(task, message.outcome)
    }
  }

  #left(how: string, asked: boolean): void {
    const { positionFile } = this.#child
    const position = readPosition(positionFile)
    const thrown = readLastWords(positionFile)
    const { task } = this
    this.task = undefined
    if (asked) return
    const message = thrown ? thrown.failure.message : `the executor ${how}`
    const why = this.#killedFor ?? { code: 'EXECUTION_CRASHED' as const, message }
    this.#events.died(task, this.#limits?.maxAttempts, { ...why, position, thrown })
  }

  /** Ends it: in peace, or after `graceMs` by force. */
  close(graceMs: number): Promise<void> {
    return this.#child.close(graceMs)
  }
}
