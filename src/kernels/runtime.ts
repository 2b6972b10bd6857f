// Runs steps: finds out what a source says, gives it to the sandbox or to V8, and turns all that can go wrong into a KernelError
// that names the kernel, its version, and the line.
import { hashText } from '../codec/hash.ts'
import { thrownOf } from '../engine/failure.ts'
import type { FailureCause } from '../engine/runner.ts'
import { GearmillError, KernelError, catalogue, type ErrorCode } from '../errors.ts'
import { mostMemoryMb } from '../native/quickjs/machine.ts'
import { outcomeOf } from './outcome.ts'
import { argumentsOf } from './params.ts'
import { Sandbox, type SandboxResult } from './sandbox/sandbox.ts'
import { requestText } from './sandbox/request.ts'
import { readTextForm } from './sandbox/text-form.ts'
import { fileOf, ownStack, placeOf } from './source/places.ts'
import { Programs, type Program } from './source/program.ts'
import type {
  KernelRuntime,
  KernelSource,
  LogLine,
  Outcome,
  ParamType,
  RuntimeOptions,
  StepContext,
  Value,
} from './step.ts'
import { shortVersion } from './store.ts'
import { deepestCause, thrownBy, type Thrown } from './thrown.ts'
import { checkKernel } from './trusted/sign.ts'
import { TrustedKernels } from './trusted/trusted.ts'
import { readModule } from './source/module.ts'

export function createKernelRuntime(options: RuntimeOptions): KernelRuntime {
  return new Runtime(options)
}

/** What a source says of itself, without running it. Throws KERNEL_SYNTAX. */
export function describeKernel(
  name: string,
  source: string,
): {
  /** False: it can only be imported. */
  readonly isKernel: boolean
  readonly params: readonly ParamType[] | undefined
  readonly imports: readonly string[]
} {
  const { hasEntry, params, imports } = readModule(name, source)
  return { isKernel: hasEntry, params, imports: imports.map(({ specifier }) => specifier) }
}

/** Codes that may come out of a kernel's own mouth: what it asked for was refused there. */
const ownCodes = new Set(['KERNEL_RESULT', 'KERNEL_DENIED', 'KERNEL_SIZE', 'KERNEL_STACK', 'KERNEL_ENTRY'])
/** What V8 and QuickJS say when calls are nested too deeply. */
const stackMessage = /^(?:stack overflow|Maximum call stack size exceeded)$/

class Runtime implements KernelRuntime {
  readonly #programs: Programs
  readonly #trusted: TrustedKernels
  readonly #sandbox = new Sandbox()

  constructor({ resolve, secret, base, watch }: RuntimeOptions) {
    this.#programs = new Programs(resolve, (source) => checkKernel(source, secret))
    this.#trusted = new TrustedKernels(base, watch)
  }

  async run(source: KernelSource, args: readonly Value[], context: StepContext): Promise<Outcome> {
    const failing = new Failing(source, context)
    try {
      const found = this.#programs.of(source)
      const program = found instanceof Promise ? await found : found
      failing.program = program
      const taken = argumentsOf(args, source.params ?? program.kernel.read.params, context.raw)
      const { chain, step, attempt, nowMs } = context
      const version = shortVersion(source.hash)
      const shown = { chain, step, attempt, kernel: source.name, version, now: nowMs }
      if (source.trusted) {
        const trusted = { source, args: taken, context, shown }
        return await this.#trusted.run(program, trusted, (lines) => (failing.log = lines))
      }
      const { memoryMb, timeoutMs: limitMs, grants = [] } = source
      const request = requestText({
        nowMs,
        seed: grants.includes('random') ? hashText(`${chain} ${step}`) : 0,
        args: taken,
        ...(program.kernel.read.contextAt !== undefined && { context: shown }),
      })
      const result = await this.#sandbox.run({
        key: `${program.id} ${memoryMb} ${limitMs} ${grants.join()}`,
        plan: () => ({ ...linkedForm(program), memoryMb, limitMs, grants }),
        limitMs,
        request,
      })
      return this.#outcome(result, failing)
    } catch (error) {
      // No kernel of the sandbox throws here: it is this process that is not well.
      if (!source.trusted && !(error instanceof GearmillError) && !(error instanceof RangeError)) throw error
      throw failing.errorOf(error)
    }
  }

  #outcome(result: SandboxResult, failing: Failing): Outcome {
    if (typeof result !== 'string' && 'trap' in result) throw failing.trapped(result)
    const isFull = typeof result !== 'string'
    const { said, log } = answerOf(isFull ? result.answer : result)
    failing.log = log
    const thrown = thrownIn(said)
    if (thrown) throw failing.thrown(thrown, isFull)
    return outcomeOf(said, log)
  }

  async close(): Promise<void> {
    await this.#sandbox.close()
  }
}

function linkedForm({ modules, kernel }: Program) {
  return {
    files: modules.map(({ name }) => fileOf(name)),
    factories: modules.map(({ read }) => read.factory),
    imports: modules.map(({ imports }) => imports.map((linked) => (typeof linked === 'number' ? linked : -1))),
    contextAt: kernel.read.contextAt,
  }
}

// Whatever a kernel does to the sandbox it stands in, no more than this comes out of it.
function answerOf(text: string): { readonly said: Value; readonly log: LogLine[] } {
  if (text === '') throw new GearmillError('KERNEL_RESULT', 'the kernel waits for a promise that nothing will settle')
  const [said = null, lines] = listOf(readTextForm(text))
  const log: LogLine[] = []
  for (const [level, line] of listOf(lines).map(listOf)) {
    if (isLevel(level) && typeof line === 'string') log.push({ level, text: line })
  }
  return { said, log }
}

const listOf = (value: Value | undefined): readonly Value[] => (Array.isArray(value) ? (value as readonly Value[]) : [])

const isLevel = (value: Value | undefined): value is LogLine['level'] =>
  value === 'debug' || value === 'info' || value === 'warn' || value === 'error'

function thrownIn(said: Value | undefined, depth = 1): Thrown | undefined {
  const [kind, ...parts] = listOf(said)
  if (kind !== 'thrown') return undefined
  const [name = '', message = '', stack = '', code = ''] = parts.map((each) => (typeof each === 'string' ? each : ''))
  const cause = depth < deepestCause ? thrownIn(parts[4], depth + 1) : undefined
  return { name, message, stack, code, ...(cause && { cause }) }
}

/** Makes the errors of one step. */
class Failing {
  readonly #source: KernelSource
  readonly #context: StepContext
  readonly #made = new Set<KernelError>()
  program: Program | undefined
  log: readonly LogLine[] = []

  constructor(source: KernelSource, context: StepContext) {
    this.#source = source
    this.#context = context
  }

  errorOf(error: unknown): KernelError {
    if (error instanceof KernelError) {
      if (this.#made.has(error)) return error
      const { line, module } = error
      return this.#error(error.code, error.message, error, { line, module }, error.cause)
    }
    if (error instanceof GearmillError && error.code.startsWith('KERNEL_')) {
      return this.#error(error.code, error.message, error, undefined, error.cause)
    }
    // A trusted kernel threw, or one of the sources it consists of did.
    return this.thrown(thrownBy(error), false)
  }

  /** The sandbox had to end the step, or could not even load its sources. */
  trapped({ trap, loading }: Extract<SandboxResult, { trap: object }>): KernelError {
    const { name, timeoutMs, memoryMb } = this.#source
    const while_ = loading ? ' while its source was loaded' : ''
    const place = this.#placeOf(trap.stack)
    switch (trap.kind) {
      case 'timeout':
        return this.#error('KERNEL_TIMEOUT', `'${name}' was not done within ${timeoutMs} ms${while_}`, trap, place)
      case 'memory':
        return this.#error(
          'KERNEL_MEMORY',
          `'${name}' needed more than ${Math.min(mostMemoryMb, Math.max(16, memoryMb))} MB${while_}`,
          trap,
          place,
        )
      case 'stack':
        return this.#error('KERNEL_STACK', `'${name}' nested calls or data too deeply${while_}`, trap, place)
      case 'thrown':
        if (loading && trap.name === 'SyntaxError') return this.#error('KERNEL_SYNTAX', trap.message, trap, place)
        return this.thrown(trap, false)
    }
  }

  thrown(thrown: Thrown, isFull: boolean): KernelError {
    const { name } = this.#source
    const place = this.#placeOf(thrown.stack)
    const isInternal = thrown.name === 'InternalError' || thrown.name === 'RangeError'
    if (isInternal && stackMessage.test(thrown.message)) {
      return this.trapped({ trap: { ...thrown, kind: 'stack' }, loading: false })
    }
    const isMemory = thrown.name === 'InternalError' && /^(?:out of memory|string too long)$/.test(thrown.message)
    // Without room even for an error, null is thrown.
    if (isMemory || (isFull && thrown.name === '')) {
      return this.trapped({ trap: { ...thrown, kind: 'memory' }, loading: false })
    }
    if (thrown.code !== undefined && ownCodes.has(thrown.code)) {
      return this.#error(thrown.code as ErrorCode, thrown.message, thrown, place)
    }
    const what = [thrown.name, thrown.message].filter((text) => text !== '').join(': ')
    return this.#error('KERNEL_THREW', `'${name}' threw ${what}`, thrown, place, thrownOf(this.#causeOf(thrown)))
  }

  #placeOf(stack: string): { readonly line: number; readonly module: string | undefined } | undefined {
    const place = this.program && placeOf(stack, this.program.modules)
    return place && { line: place.line, module: place.module === this.#source.name ? undefined : place.module }
  }

  #causeOf({ name: given, message, stack, code, cause }: Thrown): FailureCause {
    const name = given === '' ? 'Error' : given
    const frames = this.program ? ownStack(stack, this.program.modules) : ''
    return {
      name,
      message,
      stack: `${name}: ${message}\n${frames}`.trimEnd(),
      ...(code === undefined || code === '' ? {} : { code }),
      ...(cause === undefined ? {} : { cause: this.#causeOf(cause) }),
    }
  }

  #error(
    code: ErrorCode,
    message: string,
    { stack }: { readonly stack?: string | undefined },
    place?: { readonly line: number | undefined; readonly module: string | undefined },
    cause?: unknown,
  ): KernelError {
    const { name, hash } = this.#source
    const { chain, step } = this.#context
    const at =
      place?.line === undefined || /\bline \d/.test(message) ? '' : ` (line ${place.line}${inModule(place.module)})`
    const details = {
      kernel: name,
      version: hash,
      chain,
      step,
      line: place?.line,
      module: place?.module,
      log: this.log,
    }
    const known = (code in catalogue ? code : 'KERNEL_THREW') as KernelError['code']
    const error = new KernelError(known, message + at, details, cause === undefined ? {} : { cause })
    this.#made.add(error)
    const frames = this.program && stack !== undefined ? ownStack(stack, this.program.modules) : ''
    // Frames of Gearmill say nothing to who wrote the kernel.
    if (frames !== '') error.stack = `${error.name} [${error.code}]: ${error.message}\n${frames}`
    return error
  }
}

const inModule = (module: string | undefined): string => (module === undefined ? '' : ` of '${module}'`)
