// An engine in this process: runs the stages of a submission one after the other with the real runner, the real codec and
// real capture, over blocks in memory. Effects are collected, not applied.
import { mkdtempSync, readdirSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll } from 'vitest'
import type { BlockWriter } from '../../src/blocks/store.ts'
import { loadCode } from '../../src/code/load.ts'
import type { EndedExecution, ExecutionEngine, ExecutionHandle, ExecutionStatus } from '../../src/engine/execution.ts'
import type { Command, Failure, Submission, TaskContext } from '../../src/engine/runner.ts'
import createRunner from '../../src/pipeline/runner.ts'
import { Readers } from '../../src/pipeline/readers.ts'
import type { Deployment } from '../../src/redis/deployment.ts'

export interface MemoryOptions {
  readonly deployment?: Deployment
  /** The order in which the tasks of a stage run. Default: as they are. */
  readonly order?: (tasks: number[]) => number[]
  /** What tables and sorts may take before they are spilled, in bytes. */
  readonly spillBytes?: number
  /** At most so many records together, as after a death. */
  readonly guard?: (index: number, available: number) => number
}

/** Of all engines of a test file. */
const scratch = mkdtempSync(join(tmpdir(), 'gearmill-scratch-'))
afterAll(() => rmSync(scratch, { recursive: true, force: true }))

export class MemoryEngine implements ExecutionEngine {
  readonly namespace = 'gm'
  readonly known: ReadonlyMap<object, string> = new Map()
  readonly deployment: Deployment
  readonly blocks = new Map<string, Uint8Array[]>()
  /** Of all executions, in the order of tasks. */
  readonly effects: Command[][] = []
  submissions = 0
  readonly endsWithClient = true
  readonly #options: MemoryOptions
  readonly #scratch = mkdtempSync(join(scratch, 'engine-'))
  #ids = 0

  constructor(options: MemoryOptions = {}) {
    this.#options = options
    this.deployment = options.deployment ?? (undefined as unknown as Deployment)
  }

  /** What tasks have left in their scratch folder. */
  scratchFiles(): string[] {
    return readdirSync(this.#scratch)
  }

  newId(): string {
    return `e${++this.#ids}`
  }

  upload(execution: string, index: number): BlockWriter {
    return this.#writer(`${execution}/upload/${index}`)
  }

  #writer(name: string): BlockWriter {
    const frames: Uint8Array[] = []
    this.blocks.set(name, frames)
    return {
      append: async (frame) => {
        frames.push(frame.slice())
      },
      close: async () => undefined,
      discard: async () => {
        this.blocks.delete(name)
      },
    }
  }

  async submit(submission: Submission, options: { readonly id?: string } = {}): Promise<ExecutionHandle> {
    this.submissions++
    const id = options.id ?? this.newId()
    const environment = {
      worker: 'memory',
      scratch: this.#scratch,
      deployment: this.deployment,
      namespace: this.namespace,
      spillBytes: this.#options.spillBytes,
    }
    const functions =
      submission.code === undefined
        ? []
        : await loadCode(submission.code.bytes, { known: new Map(), base: import.meta.url })
    const runner = await createRunner({ execution: id, bytes: submission.program, functions }, environment)
    const failures: Failure[] = []
    const before = this.effects.length
    for (const [stage, { tasks, partitions }] of submission.stages.entries()) {
      const all = Array.from({ length: tasks }, (_, i) => i)
      const failed: Failure[][] = all.map(() => [])
      for (const task of this.#options.order?.(all) ?? all) {
        await runner.run(
          this.#context(id, stage, task, partitions, submission, failed[task] as Failure[], () => failures.length),
        )
      }
      failures.push(...failed.flat())
    }
    await runner.close?.()
    const last = submission.stages.length - 1
    const { blocks, effects } = this
    const ended: EndedExecution = {
      id,
      ...(submission.written === undefined ? {} : { writtenBy: submission.written }),
      state: 'done',
      errors: failures.length,
      written: effects.slice(before).reduce((sum, commands) => sum + commands.length, 0),
    }
    return {
      id,
      ended: async () => ended,
      async *frames() {
        for (let task = 0; task < (submission.stages[last]?.tasks ?? 0); task++) {
          yield* blocks.get(`${id}/${last}/${task}/0`) ?? []
        }
      },
      async *failures() {
        yield* failures
      },
      status: () => Promise.reject(new Error('the memory engine has no status')),
      profile: () => Promise.reject(new Error('the memory engine has no profile')),
      async *progress(): AsyncGenerator<ExecutionStatus> {},
      abort: async () => undefined,
      deadLetters: async () => [],
      replay: async () => ({ applied: 0, left: 0 }),
      remove: async () => undefined,
    }
  }

  #context(
    execution: string,
    stage: number,
    task: number,
    partitions: number,
    submission: Submission,
    failures: Failure[],
    failed: () => number,
  ): TaskContext {
    const { blocks, effects } = this
    const guard = this.#options.guard
    return {
      execution,
      stage,
      task,
      attempt: 1,
      worker: 'memory',
      signal: new AbortController().signal,
      guard: (index, available) => guard?.(index, available) ?? available,
      output: (partition) => {
        if (partition < 0 || partition >= partitions) throw new RangeError(`partition ${partition} of ${partitions}`)
        const name = `${execution}/${stage}/${task}/${partition}`
        if (blocks.has(name)) throw new Error(`block ${name} is started twice`)
        return this.#writer(name)
      },
      async *input(from, of, partition) {
        yield* blocks.get(`${execution}/${from}/${of}/${partition}`) ?? []
      },
      missing: (_, cause) => cause,
      async *upload(index) {
        yield* blocks.get(`${execution}/upload/${index}`) ?? []
      },
      agree: async (_name, value) => value,
      tasksOf: (of) => submission.stages[of]?.tasks ?? 0,
      effect: (_record, commands) => {
        effects.push([...commands])
      },
      fail: (failure) => {
        failures.push(structuredClone(failure))
      },
      temporary: async () => 60_000,
      failed: async () => failed(),
      count: () => undefined,
    }
  }
}

/** Readers on an engine in memory. */
export function memoryReaders(options: MemoryOptions = {}): Readers & { readonly engine: MemoryEngine } {
  const engine = new MemoryEngine(options)
  return Object.assign(new Readers({ engine }), { engine })
}
