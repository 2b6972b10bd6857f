// One kernel in the sandbox: a machine of its own, with the kernel and what it imports loaded, ready to be called from the same
// state again and again. Kernels share nothing, not even a memory.
import { Machine, type Trap } from '../../native/quickjs/machine.ts'
import type { CellPlan, JobResult } from './protocol.ts'
import { moduleScript, startScript, worldScript } from './world.ts'

/** For what Gearmill itself loads. */
const worldLimitMs = 10_000

const withoutMemory: Trap = { kind: 'memory', name: '', message: '', stack: '' }

export class Cell {
  readonly #machine: Machine
  readonly #run: number
  readonly #limitMs: number

  private constructor(machine: Machine, run: number, limitMs: number) {
    this.#machine = machine
    this.#run = run
    this.#limitMs = limitMs
  }

  /** @param starting called when code of the kernel is about to run for the first time. */
  static async create(plan: CellPlan, starting: () => void): Promise<Cell | Trap> {
    const { files, factories, imports, contextAt, memoryMb, grants, limitMs } = plan
    const machine = await Machine.create({ memoryMb })
    const scripts = factories.map((factory, at) => [moduleScript(at, factory), files[at] ?? ''] as const)
    for (const [script, file] of [[worldScript, 'sandbox'] as const, ...scripts]) {
      const loaded = machine.load(script, file, worldLimitMs)
      if ('trap' in loaded) return loaded.trap
    }
    starting()
    const started = machine.load(startScript(imports, contextAt, grants), 'sandbox', limitMs)
    if ('trap' in started) return started.trap
    const pending = machine.runJobs()
    if (pending) return pending
    machine.remember()
    return new Cell(machine, started.value, limitMs)
  }

  /** True: it cannot be called again. */
  get isSpent(): boolean {
    return this.#machine.isSpoiled
  }

  /** What it holds beyond what every cell does, in bytes. */
  get grownBytes(): number {
    return this.#machine.grownBytes
  }

  run(request: string): JobResult {
    const machine = this.#machine
    let reply = machine.call(this.#run, request, this.#limitMs)
    // An async kernel: what it says is there when no promise has anything left to do.
    if ('text' in reply && reply.text === '') {
      const trap = machine.runJobs()
      reply = trap ? { trap } : machine.callAgain(this.#run, '')
      // Reactions that no memory was left for are lost without a word.
      if ('text' in reply && reply.text === '' && machine.isFull) return { trap: withoutMemory, loading: false }
    }
    if ('trap' in reply) return { trap: reply.trap, loading: false }
    return machine.isFull ? { answer: reply.text, isFull: true } : reply.text
  }
}
