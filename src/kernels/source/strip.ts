// Types out of TypeScript. Everything that stays keeps its line and its column.
import { createRequire } from 'node:module'
import { KernelError } from '../../errors.ts'

interface Stripper {
  transformSync(source: string, options: { readonly mode: 'strip-only' }): { readonly code: string }
}

let stripper: Stripper | undefined

// Loaded with the first kernel that needs it: it is 4 MB of WebAssembly.
function load(): Stripper {
  const require = createRequire(import.meta.url)
  const path = require.resolve('@swc/wasm-typescript')
  delete require.cache[path]
  return require(path) as Stripper
}

/** Throws KERNEL_SYNTAX with the line. */
export function stripTypes(source: string, name: string): string {
  stripper ??= load()
  try {
    return stripper.transformSync(source, { mode: 'strip-only' }).code
  } catch (cause) {
    if (!isVerdict(cause)) {
      // Its stack ran over, and lies in memory as it was: it would refuse every source that comes.
      stripper = undefined
      throw new KernelError('KERNEL_SYNTAX', 'the source is nested too deeply to be read', { kernel: name }, { cause })
    }
    const { message, startLine: line } = cause
    const place = typeof line === 'number' ? ` (line ${line})` : ''
    throw new KernelError('KERNEL_SYNTAX', `${message}${place}`, {
      kernel: name,
      line: typeof line === 'number' ? line : undefined,
    })
  }
}

/** What it says of a source that it understood to be wrong. */
function isVerdict(thrown: unknown): thrown is { readonly message: string; readonly startLine?: unknown } {
  if (typeof thrown !== 'object' || thrown === null || thrown instanceof Error) return false
  return 'message' in thrown && typeof thrown.message === 'string'
}
