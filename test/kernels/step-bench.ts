// A runtime for tests, and kernels for it.
import { createHash } from 'node:crypto'
import { onTestFinished } from 'vitest'
import { KernelError } from '../../src/errors.ts'
import { createKernelRuntime } from '../../src/kernels/runtime.ts'
import type {
  KernelRuntime,
  KernelSource,
  Outcome,
  RuntimeOptions,
  StepContext,
  Value,
} from '../../src/kernels/step.ts'

export const context: StepContext = { chain: 'c1', step: 1, attempt: 1, nowMs: Date.UTC(2026, 0, 2, 3, 4, 5, 6) }

export function kernel(name: string, source: string, options: Partial<KernelSource> = {}): KernelSource {
  const hash = createHash('sha256').update(source).digest('hex')
  return { name, source, hash, trusted: false, timeoutMs: 10_000, memoryMb: 64, ...options }
}

export interface Bench {
  readonly runtime: KernelRuntime
  /** What imports find. */
  readonly stored: Map<string, KernelSource>
  run(source: KernelSource, args?: readonly Value[], more?: Partial<StepContext>): Promise<Outcome>
  /** The value of a kernel that is done. */
  value(source: KernelSource, args?: readonly Value[], more?: Partial<StepContext>): Promise<Value>
  failure(source: KernelSource, args?: readonly Value[], more?: Partial<StepContext>): Promise<KernelError>
}

export function openBench(options: Partial<RuntimeOptions> = {}): Bench & { close(): Promise<void> } {
  const stored = new Map<string, KernelSource>()
  const runtime = createKernelRuntime({
    resolve: (name) => stored.get(name),
    secret: undefined,
    base: import.meta.url,
    ...options,
  })
  const run: Bench['run'] = (source, args = [], more = {}) => runtime.run(source, args, { ...context, ...more })
  return {
    runtime,
    stored,
    run,
    value: async (source, args, more) => {
      const { follow } = await run(source, args, more)
      if (follow.kind !== 'done') expectNever(`the kernel said ${follow.kind}`)
      return follow.value
    },
    failure: async (source, args, more) => {
      try {
        await run(source, args, more)
      } catch (error) {
        if (error instanceof KernelError) return error
        throw error
      }
      return expectNever('the step did not fail')
    },
    close: () => runtime.close(),
  }
}

/** A bench that is closed with the test. */
export function testBench(options: Partial<RuntimeOptions> = {}): Bench {
  const bench = openBench(options)
  onTestFinished(() => bench.close())
  return bench
}

function expectNever(message: string): never {
  throw new RangeError(message)
}
