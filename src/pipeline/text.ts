// Runs of built-in text operations on columns of bytes, in WebAssembly, where a stage ends in them: the strings that come
// out of the functions in front go to the kernel together, and no word becomes a JavaScript string.
import { TextKernel } from '../native/text/kernel.ts'
import type { Tokens, TokenOptions } from '../native/text/tokens.ts'
import { isColumnSeparator } from '../native/text/tokens.ts'

/** What a text operation does, where the kernel can do it. */
export type TextStep = { readonly tokens: Tokens } | 'lower'

/** The tokens that steps make one after the other; undefined where the kernel has no such run. */
export function tokensOf(steps: readonly TextStep[]): TokenOptions | undefined {
  let tokens: Tokens | undefined
  let lower: 'before' | 'after' | undefined
  for (const step of steps) {
    if (step === 'lower') lower ??= tokens === undefined ? 'before' : 'after'
    else if (tokens !== undefined || (typeof step.tokens === 'object' && !isColumnSeparator(step.tokens.split))) {
      return undefined
    } else tokens = step.tokens
  }
  return { tokens: tokens ?? 'none', ...(lower === undefined ? {} : { lower }) }
}

let kernel: TextKernel | undefined

/** The kernel of this process. */
export function textKernel(): TextKernel {
  kernel ??= TextKernel.create()
  return kernel
}
