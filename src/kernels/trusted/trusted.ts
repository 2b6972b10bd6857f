// Trusted kernels: run in the executor itself, with all its rights, at the speed of V8. Their modules are evaluated once and keep
// their state, as modules do. A step that never returns is ended with its executor.
import { AsyncLocalStorage } from 'node:async_hooks'
import { setTimeout } from 'node:timers'
import { constants, Script } from 'node:vm'
import { exportOf, importFrom, type Import } from '../../code/modules.ts'
import { GearmillError, KernelError } from '../../errors.ts'
import { createKernelApi, type Form, type KernelApi } from '../api.ts'
import { outcomeOf } from '../outcome.ts'
import { fileOf } from '../source/places.ts'
import type { Program, ProgramModule } from '../source/program.ts'
import type { KernelSource, LogLine, Outcome, StepContext, StepWatch, Value } from '../step.ts'

interface Loaded {
  readonly entry: (...args: unknown[]) => unknown
}

interface Evaluated {
  readonly exports: object
  readonly entry: unknown
}

type Factory = (imports: readonly object[]) => Evaluated

const mostLines = 1000
const longestLine = 8 * 1024

/** Data as themselves. */
const asIs: Form = {
  text: (value) => value,
  number: (value) => value,
  flag: (value) => value,
  nothing: () => null,
  bytes: (value) => Buffer.from(value),
  list: (items) => items,
  object: (keys, items) => {
    const object: Record<string, unknown> = {}
    keys.forEach((key, i) => {
      if (key !== '__proto__') object[key] = items[i]
      else Object.defineProperty(object, key, { value: items[i], enumerable: true, writable: true, configurable: true })
    })
    return object
  },
}

/** One step while it runs, and for what it left running. */
class StepLog {
  readonly lines: LogLine[] = []

  add(level: LogLine['level'], text: string): void {
    if (this.lines.length > mostLines) return
    if (this.lines.length === mostLines) this.lines.push({ level: 'warn', text: '(and more lines)' })
    else this.lines.push({ level, text: text.length > longestLine ? `${text.slice(0, longestLine)}...` : text })
  }
}

export interface TrustedStep {
  readonly source: KernelSource
  readonly args: readonly Value[]
  readonly context: StepContext
  /** What the kernel sees as `ctx`. */
  readonly shown: object
}

export class TrustedKernels {
  readonly #import: Import
  readonly #watch: StepWatch | undefined
  readonly #loaded = new WeakMap<Program, Loaded>()
  readonly #loading = new WeakMap<Program, Promise<Loaded>>()
  readonly #logs = new AsyncLocalStorage<StepLog>()
  readonly #api: KernelApi
  #log: StepLog | undefined

  constructor(base: string, watch: StepWatch | undefined) {
    this.#import = importFrom(base)
    this.#watch = watch
    this.#api = createKernelApi(asIs, (level, text) => (this.#logs.getStore() ?? this.#log)?.add(level, text))
  }

  /** What was logged is in `log` also where the step fails. */
  async run(program: Program, step: TrustedStep, log: (lines: readonly LogLine[]) => void): Promise<Outcome> {
    const loaded = this.#loaded.get(program) ?? (await this.#load(program))
    const lines = new StepLog()
    log(lines.lines)
    const { source, context } = step
    this.#watch?.enters(source, context)
    try {
      const returned = program.kernel.read.prints
        ? this.#logs.run(lines, () => this.#call(loaded, program.kernel, step, lines))
        : this.#call(loaded, program.kernel, step, lines)
      const value = isPromise(returned) ? await this.#inTime(returned, source) : returned
      return outcomeOf(this.#api.said(value), lines.lines)
    } finally {
      this.#watch?.leaves(source, context)
    }
  }

  #call(loaded: Loaded, kernel: ProgramModule, { args, shown }: TrustedStep, lines: StepLog): unknown {
    const { contextAt } = kernel.read
    const outer = this.#log
    this.#log = lines
    try {
      if (contextAt === undefined) return loaded.entry(...args)
      const padded: unknown[] = [...args]
      while (padded.length < contextAt) padded.push(undefined)
      padded.splice(contextAt, 0, shown)
      return loaded.entry(...padded)
    } finally {
      this.#log = outer
    }
  }

  #inTime(returned: PromiseLike<unknown>, { name, timeoutMs }: KernelSource): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => {
        reject(
          new KernelError('KERNEL_TIMEOUT', `'${name}' was not done within ${timeoutMs} ms`, {
            kernel: name,
          }),
        )
      }, timeoutMs)
      const settle = (settled: () => void): void => {
        clearTimeout(timer)
        settled()
      }
      // Also where what it gives is to be waited for in turn.
      Promise.resolve(returned).then(
        (value) => settle(() => resolve(value)),
        // What a kernel throws is passed on as it is.
        (error: unknown) => settle(() => reject(error)),
      )
    })
  }

  #load(program: Program): Promise<Loaded> {
    let loading = this.#loading.get(program)
    if (!loading) {
      loading = this.#evaluate(program).finally(() => this.#loading.delete(program))
      this.#loading.set(program, loading)
    }
    return loading
  }

  async #evaluate(program: Program): Promise<Loaded> {
    const evaluated: Evaluated[] = []
    for (const { name, read, imports } of program.modules) {
      const given = await Promise.all(
        imports.map(async (linked, i) =>
          typeof linked === 'number'
            ? (evaluated[linked]?.exports ?? {})
            : this.#package(
                linked.package,
                (read.imports[i]?.names ?? []).map(({ imported }) => imported),
              ),
        ),
      )
      evaluated.push(this.#factory(name, read.factory)(given))
    }
    const entry = evaluated.at(-1)?.entry
    if (typeof entry !== 'function') {
      throw new GearmillError('KERNEL_ENTRY', `what should be the kernel '${program.kernel.name}' is no function`)
    }
    const loaded = { entry: entry as Loaded['entry'] }
    this.#loaded.set(program, loaded)
    return loaded
  }

  #factory(name: string, text: string): Factory {
    const script = compiled(name, `(function(next,done,console){return ${text}})`)
    const outer = script.runInThisContext() as (next: object, done: unknown, console: object) => Factory
    return outer(this.#api.next, this.#api.done, this.#api.console)
  }

  async #package(specifier: string, names: readonly string[]): Promise<object> {
    let namespace: object
    try {
      namespace = await this.#import(specifier)
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause)
      throw new GearmillError('KERNEL_IMPORT', `cannot import '${specifier}': ${why}`, { cause })
    }
    // A package of the older kind may show what it exports on its default only.
    if (names.every((name) => name === '*' || name in namespace)) return namespace
    const given = names.map((name) => [name, exportOf(namespace, 'import', [name])] as const)
    const missing = given.find(([, value]) => value === undefined)
    if (missing)
      throw new GearmillError('KERNEL_IMPORT', `cannot import '${specifier}': it has no export '${missing[0]}'`)
    return Object.fromEntries(given)
  }
}

function compiled(name: string, text: string): Script {
  try {
    return new Script(text, {
      filename: fileOf(name),
      importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
    })
  } catch (cause) {
    // What the parser let pass, and V8 does not.
    const message = cause instanceof Error ? cause.message : String(cause)
    throw new GearmillError('KERNEL_SYNTAX', `${message} (in '${name}')`, { cause })
  }
}

const isPromise = (value: unknown): value is PromiseLike<unknown> =>
  typeof value === 'object' && value !== null && 'then' in value && typeof value.then === 'function'
