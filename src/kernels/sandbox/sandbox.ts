// The executor's side of the sandbox: gives steps to its thread, and ends the thread when a step does not end by itself. What had
// not answered then goes to a new thread: nothing but the step that hung is lost.
import { existsSync } from 'node:fs'
import { Worker } from 'node:worker_threads'
import { RunningMark, type CellPlan, type JobResult, type JobResults, type Jobs } from './protocol.ts'

export interface SandboxStep {
  /** Tells this plan from every other. */
  readonly key: string
  readonly plan: () => CellPlan
  readonly limitMs: number
  readonly request: string
}

export type SandboxResult = Exclude<JobResult, { readonly missing: true }>

interface Pending {
  readonly step: SandboxStep
  readonly cell: number
  readonly resolve: (result: SandboxResult) => void
  attempts: number
}

interface Thread {
  readonly worker: Worker
  readonly mark: RunningMark
  /** Cells whose plans it was sent. */
  readonly known: Set<number>
}

const mostNumbers = 2000
/** How often a running step is looked at. */
const watchMs = 50
/** Engines are made within milliseconds; a machine may be busy. */
const preparingMs = 30_000
/** Threads that one step may take along, where it is not clear that it did. */
const mostAttempts = 3

export class Sandbox {
  readonly #pending = new Map<number, Pending>()
  /** Plans by number, which is what travels. */
  readonly #cells = new Map<string, number>()
  #unsent: number[] = []
  #thread: Thread | undefined
  #watch: NodeJS.Timeout | undefined
  #lastId = 0
  #lastCell = 0
  #isClosed = false

  run(step: SandboxStep): Promise<SandboxResult> {
    if (this.#isClosed) return Promise.resolve(ended('the sandbox is closed'))
    return new Promise((resolve) => {
      // Ids are kept in 32 bits.
      this.#lastId = (this.#lastId % 0x7fffffff) + 1
      this.#pending.set(this.#lastId, { step, cell: this.#cellOf(step.key), resolve, attempts: 0 })
      this.#send(this.#lastId)
      if (this.#pending.size === 1) this.#thread?.worker.ref()
      this.#watch ??= setTimeout(() => this.#look(), watchMs)
    })
  }

  async close(): Promise<void> {
    this.#isClosed = true
    clearTimeout(this.#watch)
    const { worker } = this.#thread ?? {}
    this.#thread = undefined
    for (const id of this.#pending.keys()) this.#settle(id, ended('the sandbox was closed'))
    await worker?.terminate()
  }

  #cellOf(key: string): number {
    let cell = this.#cells.get(key)
    if (cell === undefined) {
      cell = ++this.#lastCell
      // Forgetting one costs no more than to send its plan again.
      if (this.#cells.size >= mostNumbers) this.#cells.clear()
      this.#cells.set(key, cell)
    }
    return cell
  }

  /** Steps that are asked for together travel together. */
  #send(id: number): void {
    if (this.#unsent.length === 0) queueMicrotask(() => this.#flush())
    this.#unsent.push(id)
  }

  #flush(): void {
    const ids = this.#unsent
    this.#unsent = []
    if (this.#isClosed) return
    const thread = (this.#thread ??= this.#start())
    const plans: [number, CellPlan][] = []
    const jobs: (number | string)[] = []
    for (const id of ids) {
      const pending = this.#pending.get(id)
      if (!pending) continue
      const { step, cell } = pending
      if (!thread.known.has(cell)) {
        thread.known.add(cell)
        plans.push([cell, step.plan()])
      }
      jobs.push(id, cell, step.request)
    }
    thread.worker.postMessage({ plans, jobs } satisfies Jobs)
  }

  #start(): Thread {
    const mark = new RunningMark()
    const worker = new Worker(threadFile(), {
      workerData: mark.shared,
      // Kernels have none of these; the thread needs none.
      env: {},
      execArgv: [],
      stdin: false,
      resourceLimits: { stackSizeMb: 16 },
    })
    const thread = { worker, mark, known: new Set<number>() }
    worker.on('message', (results: JobResults) => this.#take(thread, results))
    worker.on('error', (error) => this.#lost(thread, error instanceof Error ? error.message : String(error)))
    worker.on('exit', () => this.#lost(thread, 'it ended'))
    return thread
  }

  #take(thread: Thread, results: JobResults): void {
    for (let i = 0; i < results.length; i += 2) {
      const id = results[i] as number
      const result = results[i + 1] as JobResult
      if (typeof result === 'string' || !('missing' in result)) {
        this.#settle(id, result)
        continue
      }
      const pending = this.#pending.get(id)
      if (!pending) continue
      thread.known.delete(pending.cell)
      this.#send(id)
    }
  }

  #settle(id: number, result: SandboxResult): void {
    const pending = this.#pending.get(id)
    if (!pending) return
    this.#pending.delete(id)
    if (this.#pending.size === 0) {
      clearTimeout(this.#watch)
      this.#watch = undefined
      // What waits for nothing keeps no process alive.
      this.#thread?.worker.unref()
    }
    pending.resolve(result)
  }

  // Loops in QuickJS end by themselves when their time is over; loops in its native functions do not.
  #look(): void {
    this.#watch = this.#pending.size > 0 ? setTimeout(() => this.#look(), watchMs) : undefined
    const thread = this.#thread
    if (!thread) return
    const { job, isPreparing, ranMs } = thread.mark.read()
    const pending = this.#pending.get(job)
    if (!pending) return
    const { limitMs } = pending.step
    const mostMs = isPreparing ? preparingMs : Math.max(limitMs * 1.5, limitMs + 100)
    if (ranMs <= mostMs) return
    this.#end(thread)
    this.#settle(job, { trap: { kind: 'timeout', name: '', message: '', stack: '' }, loading: false })
    this.#again()
  }

  /** The thread ended without being asked to. */
  #lost(thread: Thread, why: string): void {
    if (this.#thread !== thread) return
    const { job } = thread.mark.read()
    this.#end(thread)
    const isMemory = /memory/i.test(why)
    const trap = {
      kind: isMemory ? 'memory' : 'thrown',
      name: 'Error',
      message: `the sandbox ended: ${why}`,
      stack: '',
    } as const
    if (this.#pending.has(job)) this.#settle(job, { trap, loading: false })
    else {
      for (const [id, pending] of this.#pending) {
        if (++pending.attempts >= mostAttempts) this.#settle(id, { trap, loading: false })
      }
    }
    this.#again()
  }

  #end(thread: Thread): void {
    if (this.#thread === thread) this.#thread = undefined
    void thread.worker.terminate()
  }

  #again(): void {
    if (this.#isClosed || this.#pending.size === 0) return
    this.#unsent = [...this.#pending.keys()]
    this.#flush()
  }
}

const ended = (message: string): SandboxResult => ({
  trap: { kind: 'thrown', name: 'Error', message, stack: '' },
  loading: false,
})

// Threads run compiled code, also where what starts them does not.
function threadFile(): URL {
  const here = new URL('./thread.js', import.meta.url)
  return existsSync(here) ? here : new URL('../../../dist/kernels/sandbox/thread.js', import.meta.url)
}
