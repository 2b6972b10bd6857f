// One QuickJS engine in a WebAssembly memory of its own, whose whole state is that memory: it is remembered once, when all
// code is loaded, and put back before each call. So every call starts from the same bytes, whatever the calls before it did,
// and nothing has to be freed. Putting back costs a copy of some 200 KB, a few microseconds.
//
// Limits: memory by the maximum of the WebAssembly memory; time by QuickJS' interrupt handler, which loops in native code
// (an indexOf over a sparse array) do not ask: against those the thread that runs this has to be ended from outside.
import { initialPages, newEngine, pageBytes, stackBytes, type Engine, type EngineMemory } from './engine.ts'
import { headerBytes, liveRanges } from './heap.ts'

/** Why a call gave no text. */
export interface Trap {
  readonly kind: 'timeout' | 'memory' | 'stack' | 'thrown'
  readonly name: string
  readonly message: string
  readonly stack: string
}

export type Reply = { readonly text: string } | { readonly trap: Trap }

export interface MachineOptions {
  /** Most that the memory may grow to; at least 16, which is what an engine starts with, and at most `mostMemoryMb`. */
  readonly memoryMb: number
}

/** What the engine's module allows. */
export const mostMemoryMb = 2048

const mbBytes = 1024 * 1024
/**
 * Static data lie below the stack, first those that never change (tables of Unicode and of the library), then those that do. The
 * latter end where the stack begins and are a few hundred bytes; this is what is put back of them.
 */
const staticBytes = 20 * 1024
/** The stack begins at most this far behind the place that is computed from the first allocation. */
const slackBytes = 4096
/** QuickJS measures its own use of that stack. The thread's own stack may end before, which is noticed as well. */
const scriptStackBytes = 1 * mbBytes

const encoder = new TextEncoder()
const decoder = new TextDecoder()

interface Part {
  readonly at: number
  readonly bytes: Uint8Array
}

export class Machine {
  readonly #engine: Engine
  readonly #memory: EngineMemory
  readonly #mostBytes: number
  readonly #heapAt: number
  readonly #runtime: number
  readonly #context: number
  readonly #undefined: number
  /** Where the arguments of a call are laid out. */
  readonly #values: number
  #bytes: Uint8Array
  #image: readonly Part[] = []
  #deadline = Infinity
  #interrupted = false
  #refused = false
  #isSpoiled = false

  private constructor(engine: Engine, memory: EngineMemory, mostBytes: number) {
    this.#engine = engine
    this.#memory = memory
    this.#mostBytes = mostBytes
    this.#heapAt = engine._malloc(8)
    watchGrowth(memory, (refused) => (this.#refused = refused))
    engine.callbacks = {
      shouldInterrupt: () => {
        if (performance.now() < this.#deadline) return 0
        this.#interrupted = true
        return 1
      },
    }
    this.#runtime = engine._QTS_NewRuntime()
    engine._QTS_RuntimeSetMaxStackSize(this.#runtime, scriptStackBytes)
    engine._QTS_RuntimeEnableInterruptHandler(this.#runtime)
    this.#context = engine._QTS_NewContext(this.#runtime, 0)
    this.#undefined = engine._QTS_GetUndefined()
    this.#values = engine._malloc(16)
    this.#bytes = new Uint8Array(memory.buffer)
  }

  static async create({ memoryMb }: MachineOptions): Promise<Machine> {
    const pages = Math.max(initialPages, Math.ceil((Math.min(memoryMb, mostMemoryMb) * mbBytes) / pageBytes))
    const { engine, memory } = await newEngine(pages)
    return new Machine(engine, memory, pages * pageBytes)
  }

  /** True: what is in the memory can be trusted no more, and nothing can be called. */
  get isSpoiled(): boolean {
    return this.#isSpoiled
  }

  /** Memory beyond what an engine starts with, in bytes. It never shrinks. */
  get grownBytes(): number {
    return this.#memory.buffer.byteLength - initialPages * pageBytes
  }

  /** True where the last call was refused more memory. */
  get isFull(): boolean {
    return this.#refused
  }

  /**
   * Runs a script within `limitMs`; what it leaves stays. Its value, where it is a function, is what call() can call.
   * @returns the value's handle, or why there is none.
   */
  load(source: string, file: string, limitMs: number): { readonly value: number } | { readonly trap: Trap } {
    this.#begin(limitMs)
    try {
      const name = this.#put(file)
      const { at, length } = this.#putSized(source)
      const value = this.#engine._QTS_Eval(this.#context, at, length, name, 0, 0)
      this.#engine._free(at)
      this.#engine._free(name)
      const trap = this.#trapOf(value)
      return trap ? { trap } : { value }
    } catch (error) {
      return { trap: this.#crash(error) }
    }
  }

  /** Remembers the memory as it is now: each call starts from it. */
  remember(): void {
    const bytes = this.#view()
    const stackAt = this.#heapAt - stackBytes + slackBytes
    const staticAt = Math.max(0, stackAt - staticBytes)
    const heapAt = this.#heapAt - headerBytes
    const ranges = liveRanges(this.#memory.buffer, heapAt) ?? [{ from: heapAt, to: bytes.length }]
    this.#image = [{ from: staticAt, to: stackAt }, ...ranges].map(({ from, to }) => ({
      at: from,
      bytes: bytes.slice(from, to),
    }))
  }

  /** Calls a function with one text within `limitMs`, from the memory that was remembered. It has to return a text. */
  call(callee: number, text: string, limitMs: number): Reply {
    this.#restore()
    this.#begin(limitMs)
    return this.#call(callee, text)
  }

  /** Runs what promises have left to do, within the time of the call before. */
  runJobs(): Trap | undefined {
    try {
      while (this.#engine._QTS_IsJobPending(this.#runtime) !== 0) {
        const done = this.#engine._QTS_ExecutePendingJob(this.#runtime, jobsAtOnce, this.#values)
        const trap = this.#trapOf(done)
        if (trap) return trap
        if (performance.now() >= this.#deadline) {
          this.#interrupted = true
          return { kind: 'timeout', name: '', message: '', stack: '' }
        }
      }
      return undefined
    } catch (error) {
      return this.#crash(error)
    }
  }

  /** One more call of the same step: from the memory as it is. */
  callAgain(callee: number, text: string): Reply {
    return this.#call(callee, text)
  }

  #call(callee: number, text: string): Reply {
    try {
      const engine = this.#engine
      const at = this.#put(text)
      const argument = engine._QTS_NewString(this.#context, at)
      engine._free(at)
      new DataView(this.#view().buffer).setUint32(this.#values, argument, true)
      const value = engine._QTS_Call(this.#context, callee, this.#undefined, 1, this.#values)
      const trap = this.#trapOf(value)
      return trap ? { trap } : { text: this.#read(engine._QTS_GetString(this.#context, value)) }
    } catch (error) {
      return { trap: this.#crash(error) }
    }
  }

  #begin(limitMs: number): void {
    this.#deadline = performance.now() + limitMs
    this.#interrupted = false
    this.#refused = false
  }

  #restore(): void {
    const bytes = this.#view()
    for (const { at, bytes: kept } of this.#image) bytes.set(kept, at)
  }

  // The memory moves when it grows.
  #view(): Uint8Array {
    if (this.#bytes.buffer !== this.#memory.buffer) this.#bytes = new Uint8Array(this.#memory.buffer)
    return this.#bytes
  }

  #put(text: string): number {
    return this.#putSized(text).at
  }

  #putSized(text: string): { readonly at: number; readonly length: number } {
    const length = Buffer.byteLength(text)
    const at = this.#engine._malloc(length + 1)
    if (at === 0) {
      this.#refused = true
      throw new RangeError('the text does not fit into the memory')
    }
    const bytes = this.#view()
    encoder.encodeInto(text, bytes.subarray(at, at + length))
    bytes[at + length] = 0
    return { at, length }
  }

  #read(at: number): string {
    if (at === 0) return ''
    const bytes = this.#view()
    return decoder.decode(bytes.subarray(at, bytes.indexOf(0, at)))
  }

  #trapOf(value: number): Trap | undefined {
    const thrown = this.#engine._QTS_ResolveException(this.#context, value)
    if (thrown === 0) return undefined
    const { name, message, stack } = described(this.#read(this.#engine._QTS_Dump(this.#context, thrown)))
    if (this.#interrupted) return { kind: 'timeout', name, message, stack }
    return { kind: this.#kindOf(name, message), name, message, stack }
  }

  /** What an error that was thrown inside means. */
  #kindOf(name: string, message: string): Trap['kind'] {
    if (name === 'InternalError' && message === 'stack overflow') return 'stack'
    if (name === 'InternalError' && /^(?:out of memory|string too long)$/.test(message)) return 'memory'
    // Without room even for the error, null is thrown.
    const isFull = this.#refused || this.#memory.buffer.byteLength > this.#mostBytes * 0.9
    return isFull && name === '' ? 'memory' : 'thrown'
  }

  #crash(error: unknown): Trap {
    this.#isSpoiled = true
    const name = error instanceof Error ? error.name : ''
    const message = error instanceof Error ? error.message : String(error)
    if (this.#refused) return { kind: 'memory', name, message, stack: '' }
    // The thread's own stack came to its end before QuickJS' measure of it.
    const isStack = error instanceof RangeError && message.includes('call stack')
    return { kind: isStack ? 'stack' : 'thrown', name, message, stack: '' }
  }
}

/** Between two looks at the clock: one job may be too short for the interrupt handler to be asked. */
const jobsAtOnce = 1000

function described(text: string): { readonly name: string; readonly message: string; readonly stack: string } {
  let error: unknown
  try {
    error = JSON.parse(text)
  } catch {
    error = undefined
  }
  const of = (key: string): string => {
    const value: unknown = typeof error === 'object' && error !== null ? Reflect.get(error, key) : undefined
    return typeof value === 'string' ? value : ''
  }
  return { name: of('name'), message: of('message') || (typeof error === 'string' ? error : ''), stack: of('stack') }
}

// The engine's module asks the memory to grow, and falls back on smaller requests: the last answer counts.
function watchGrowth(memory: EngineMemory, tell: (refused: boolean) => void): void {
  const grow = memory.grow.bind(memory)
  memory.grow = (pages) => {
    try {
      const before = grow(pages)
      tell(false)
      return before
    } catch (error) {
      tell(true)
      throw error
    }
  }
}
