// Between an executor and the thread of its sandbox. Messages carry many steps at once.
import type { Grant } from '../step.ts'

/** Sources of a program, linked: what the thread needs to know of it, once. */
export interface CellProgram {
  readonly files: readonly string[]
  readonly factories: readonly string[]
  readonly imports: readonly (readonly number[])[]
  readonly contextAt: number | undefined
}

export interface Job {
  /** Counts from 1. */
  readonly id: number
  /** Which program, with which memory and grants. */
  readonly cell: string
  /** Left out where the thread has had it. */
  readonly program?: CellProgram
  readonly memoryMb: number
  readonly grants: readonly Grant[]
  readonly limitMs: number
  /** Made by requestText(). */
  readonly request: string
}

export type TrapKind = 'timeout' | 'memory' | 'stack' | 'thrown'

export type JobResult =
  /** In the text form; '' where an async kernel never ends. `isFull`: the memory was at its limit. */
  | { readonly id: number; readonly answer: string; readonly isFull: boolean }
  | {
      readonly id: number
      readonly trap: {
        readonly kind: TrapKind
        readonly name: string
        readonly message: string
        readonly stack: string
      }
      /** True: it happened while the sources were loaded. */
      readonly loading: boolean
    }
  /** The thread has the program no more. */
  | { readonly id: number; readonly missing: true }

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
