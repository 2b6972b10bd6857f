// Between an executor and the thread of its sandbox. Messages carry many steps at once.
import type { Grant } from '../step.ts'

/** A kernel with all that it imports, and how it may run. */
export interface CellPlan {
  readonly files: readonly string[]
  readonly factories: readonly string[]
  /** Of each module: indexes of the modules that its imports give. */
  readonly imports: readonly (readonly number[])[]
  readonly contextAt: number | undefined
  readonly memoryMb: number
  readonly grants: readonly Grant[]
  readonly limitMs: number
}

export interface Job {
  /** Counts from 1. */
  readonly id: number
  readonly cell: number
  /** Made by requestText(). */
  readonly request: string
}

export interface Jobs {
  /** Plans that the thread has not had. */
  readonly plans: readonly (readonly [cell: number, plan: CellPlan])[]
  /** id, cell and request of one job after the other: a flat list travels faster than objects. */
  readonly jobs: readonly (number | string)[]
}

export type TrapKind = 'timeout' | 'memory' | 'stack' | 'thrown'

export type JobResult =
  /** In the text form; '' where an async kernel never ends. */
  | string
  /** The memory was at its limit. */
  | { readonly answer: string; readonly isFull: true }
  | {
      readonly trap: {
        readonly kind: TrapKind
        readonly name: string
        readonly message: string
        readonly stack: string
      }
      /** True: it happened while the sources were loaded. */
      readonly loading: boolean
    }
  /** The thread has the plan of its cell no more. */
  | { readonly missing: true }

/** id and result, one after the other. */
export type JobResults = readonly (number | JobResult)[]

/** Memory that both share: which job runs, and since when. */
export class RunningMark {
  readonly shared: SharedArrayBuffer
  readonly #job: Int32Array
  readonly #since: Float64Array

  constructor(shared: SharedArrayBuffer = new SharedArrayBuffer(16)) {
    this.shared = shared
    this.#job = new Int32Array(shared, 0, 2)
    this.#since = new Float64Array(shared, 8, 1)
  }

  /** Job 0: none. `isPreparing`: no code of a kernel runs yet. */
  set(job: number, isPreparing = false): void {
    this.#since[0] = Date.now()
    Atomics.store(this.#job, 1, isPreparing ? 1 : 0)
    Atomics.store(this.#job, 0, job)
  }

  read(): { readonly job: number; readonly isPreparing: boolean; readonly ranMs: number } {
    const job = Atomics.load(this.#job, 0)
    return { job, isPreparing: Atomics.load(this.#job, 1) === 1, ranMs: Date.now() - (this.#since[0] ?? 0) }
  }
}
