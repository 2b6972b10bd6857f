// The parser of kernels' sources, which anybody may write. acorn compares each name that is declared with all others of its scope,
// and V8 reads each regular expression: what would take them long is refused, since the executor can do nothing else meanwhile.
import { Parser, type Expression, type Options, type Program } from 'acorn'

/** Comparisons of names in one source: about a quarter of a second. */
const mostComparisons = 100_000_000
/** Characters of one regular expression, and of all of a source: a second or two, at worst. */
const longestPattern = 32 * 1024
const mostPatterns = 128 * 1024

const options: Options = {
  ecmaVersion: 'latest',
  sourceType: 'module',
  allowHashBang: true,
  locations: true,
}

/** What acorn says of scopes to its plugins only. */
interface Scope {
  readonly flags: number
  readonly var: readonly string[]
  readonly lexical: readonly string[]
  readonly functions: readonly string[]
}

/** And these are its own. */
interface Inner {
  readonly scopeStack: readonly Scope[]
  compared?: number
  patterns?: number
  declareName(name: string, kind: number, at: number): void
  validateRegExpPattern(state: { readonly start: number; readonly source: string }): void
  raise(at: number, message: string): never
}

const isVariable = 1
const topOrFunction = 3

const KernelParser = Parser.extend((Base) => {
  class Bounded extends Base {}
  const base = Base.prototype as unknown as Inner
  Object.defineProperty(Bounded.prototype, 'declareName', {
    value(this: Inner, name: string, kind: number, at: number): void {
      let compared = this.compared ?? 0
      for (let i = this.scopeStack.length - 1; i >= 0; i--) {
        const scope = this.scopeStack[i] as Scope
        compared += scope.var.length + scope.lexical.length + scope.functions.length
        // Others are looked for in the innermost scope only.
        if (kind !== isVariable || (scope.flags & topOrFunction) !== 0) break
      }
      if (compared > mostComparisons) this.raise(at, 'too many names are declared in one scope')
      this.compared = compared
      base.declareName.call(this, name, kind, at)
    },
  })
  Object.defineProperty(Bounded.prototype, 'validateRegExpPattern', {
    value(this: Inner, state: { readonly start: number; readonly source: string }): void {
      const { length } = state.source
      this.patterns = (this.patterns ?? 0) + length
      if (length > longestPattern || this.patterns > mostPatterns) {
        this.raise(state.start, `regular expressions of more than ${length > longestPattern ? 32 : 128} KiB`)
      }
      base.validateRegExpPattern.call(this, state)
    },
  })
  return Bounded
})

export function parseProgram(text: string): Program {
  return KernelParser.parse(text, options)
}

/** The expression that the text begins with. */
export function parseExpression(text: string): Expression {
  return KernelParser.parseExpressionAt(text, 0, options)
}
