// Types out of TypeScript. Everything that stays keeps its line and its column.
import { createRequire } from 'node:module'
import { KernelError } from '../../errors.ts'

interface Stripper {
  transformSync(source: string, options: { readonly mode: 'strip-only' }): { readonly code: string }
}

let stripper: Stripper | undefined

/** Throws KERNEL_SYNTAX with the line. */
export function stripTypes(source: string, name: string): string {
  // Loaded with the first kernel that needs it: it is 4 MB of WebAssembly.
  stripper ??= createRequire(import.meta.url)('@swc/wasm-typescript') as Stripper
  try {
    return stripper.transformSync(source, { mode: 'strip-only' }).code
  } catch (cause) {
    const of = (key: string): unknown =>
      typeof cause === 'object' && cause !== null ? (Reflect.get(cause, key) as unknown) : undefined
    const message = of('message')
    const line = of('startLine')
    throw new KernelError(
      'KERNEL_SYNTAX',
      `${typeof message === 'string' ? message : 'the source cannot be read'}${typeof line === 'number' ? ` (line ${line})` : ''}`,
      { kernel: name, line: typeof line === 'number' ? line : undefined },
    )
  }
}
