// A script's text as a function: its last expression is its value, and before each statement it says at which line it is.
import { Script, constants } from 'node:vm'
import { parse, type ImportDeclaration, type Program, type Statement } from 'acorn'
import { KernelError, PlanError } from '../../errors.ts'
import { stripTypes } from '../../kernels/source/strip.ts'

/** What stacks call a script. */
export const scriptName = 'script'

/** Called with the values of the names, in their order. */
export type ScriptFunction = (...values: readonly unknown[]) => Promise<unknown>

export interface ParsedScript {
  /** Of its statements, from 1, ascending. */
  readonly lines: readonly number[]
  /** Whether it may call `import()`. */
  readonly imports: boolean
  /** Compiles it: `names` are what it sees; the function also takes `at(line)` and `load(specifier)`, behind the values. */
  compile(names: readonly string[]): ScriptFunction
}

const at = '$gearmillAt'
const load = '$gearmillImport'

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** JavaScript, or TypeScript without what needs a compiler. Throws PLAN_SCRIPT, with the line in the message. */
export function parseScript(text: string): ParsedScript {
  const { script, program } = read(text)
  const edits: Edit[] = []
  const lines: number[] = []
  const last = program.body.findLast(({ type }) => type !== 'EmptyStatement')
  for (const node of program.body) {
    const line = node.loc?.start.line ?? 1
    lines.push(line)
    const mark = `${at}(${line});`
    if (node.type === 'ImportDeclaration') {
      edits.push({ start: node.start, end: node.end, text: mark + importOf(node) })
    } else if (node.type.startsWith('Export')) {
      throw refused('a script exports nothing', line, node.loc?.start.column ?? 0)
    } else if (node === last && node.type === 'ExpressionStatement') {
      // The statement may have more than its expression: parentheses, comments, a semicolon.
      const end = script[node.end - 1] === ';' ? node.end - 1 : node.end
      edits.push({ start: node.start, end: node.start, text: `${mark}return (` })
      edits.push({ start: end, end: node.end, text: ');' })
    } else if (!isHoisted(node as Statement)) {
      edits.push({ start: node.start, end: node.start, text: mark })
    }
  }
  const body = edited(script, edits)
  return {
    lines: [...new Set(lines)].sort((a, b) => a - b),
    imports: /\bimport\s*\(/.test(script),
    compile: (names) => compile(body, names),
  }
}

// What stands in front of a declaration of a function must not be told apart from it: it is called before its line is reached.
const isHoisted = ({ type }: Statement): boolean => type === 'FunctionDeclaration'

interface Read {
  readonly script: string
  readonly program: Program
}

function read(given: string): Read {
  // The line of a shell, of a script that came from a file: it is no code.
  const text = given.replace(/^#!.*/, '')
  const asJavaScript = parsed(text)
  if (!(asJavaScript instanceof SyntaxError)) return { script: text, program: asJavaScript }
  const script = withoutTypes(text, asJavaScript)
  const program = parsed(script)
  if (program instanceof SyntaxError) throw unreadable(program)
  return { script, program }
}

/** Every line and column stays where it was. */
function withoutTypes(text: string, asJavaScript: Unreadable): string {
  try {
    return stripTypes(text, scriptName)
  } catch (error) {
    const line = error instanceof KernelError ? error.line : undefined
    // Of one line acorn knows the column, too.
    if (line === undefined || line === asJavaScript.loc?.line) throw unreadable(asJavaScript)
    throw new PlanError('PLAN_SCRIPT', `${scriptName}:${line}: ${(error as Error).message}`, { cause: error })
  }
}

type Unreadable = SyntaxError & { readonly loc?: { readonly line: number; readonly column: number } }

function unreadable(error: Unreadable): PlanError {
  const { loc, message } = error
  return refused(message.replace(/ \(\d+:\d+\)$/, ''), loc?.line ?? 1, loc?.column ?? 0, error)
}

function parsed(script: string): Program | Unreadable {
  try {
    return parse(script, {
      ecmaVersion: 'latest',
      sourceType: 'module',
      allowAwaitOutsideFunction: true,
      allowReturnOutsideFunction: true,
      locations: true,
    })
  } catch (error) {
    if (error instanceof SyntaxError) return error
    throw error
  }
}

function refused(what: string, line: number, column: number, cause?: unknown): PlanError {
  return new PlanError('PLAN_SCRIPT', `${scriptName}:${line}:${column + 1}: ${what}`, { cause })
}

/** `import a, { b as c } from 'x'` as what a function may do. */
function importOf({ specifiers, source }: ImportDeclaration): string {
  const from = `await ${load}(${JSON.stringify(source.value)})`
  const names: string[] = []
  let whole: string | undefined
  for (const specifier of specifiers) {
    const { name } = specifier.local
    if (specifier.type === 'ImportNamespaceSpecifier') whole = name
    else if (specifier.type === 'ImportDefaultSpecifier') names.push(`default: ${name}`)
    else {
      const { imported } = specifier
      names.push(`${imported.type === 'Identifier' ? imported.name : JSON.stringify(imported.value)}: ${name}`)
    }
  }
  if (whole !== undefined)
    return `const ${whole} = ${from}${names.length > 0 ? `, { ${names.join(', ')} } = ${whole}` : ''};`
  return specifiers.length === 0 ? `${from};` : `const { ${names.join(', ')} } = ${from};`
}

function edited(script: string, edits: readonly Edit[]): string {
  let text = ''
  let from = 0
  for (const edit of edits) {
    text += script.slice(from, edit.start) + edit.text
    from = edit.end
  }
  return text + script.slice(from)
}

function compile(body: string, names: readonly string[]): ScriptFunction {
  // Two functions: what the script declares may be called like what it is given.
  const head = `(async (${[...names, at, load].join(', ')}) => { 'use strict'; return (async () => { `
  const text = `${head}${body}\n})() })`
  const script = new Script(text, {
    filename: scriptName,
    columnOffset: -head.length,
    // From the folder of the worker, where such a file would be.
    importModuleDynamically: constants.USE_MAIN_CONTEXT_DEFAULT_LOADER,
  })
  return script.runInThisContext() as ScriptFunction
}
