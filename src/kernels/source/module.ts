// What a source says: its imports, its exports, which of its functions is the kernel, what arguments that takes. And the same
// source as the body of a function, line by line, which both the sandbox and V8 can run without a loader of modules.
import type { AnyNode, Expression, ImportDeclaration, Program } from 'acorn'
import { childrenOf, isCallable, isClass, namesOf } from '../../code/syntax.ts'
import { KernelError } from '../../errors.ts'
import type { ParamType } from '../step.ts'
import { parseExpression, parseProgram } from './parse.ts'
import { stripTypes } from './strip.ts'

export interface ModuleImport {
  readonly specifier: string
  readonly line: number
  /** `*` is the whole module. */
  readonly names: readonly { readonly imported: string; readonly local: string }[]
}

export interface SourceModule {
  /** A function expression: of the list of what its imports give, in their order, to `{ exports, entry }`. */
  readonly factory: string
  readonly imports: readonly ModuleImport[]
  /** Names under which others can import; those of `export * from` are not among them. */
  readonly exports: readonly string[]
  /** Indexes into imports: all that those export is exported as well. */
  readonly passedOn: readonly number[]
  /** False: a library, which can only be imported. */
  readonly hasEntry: boolean
  /** The parameter called `ctx`, where the kernel has one: its index. */
  readonly contextAt: number | undefined
  readonly params: readonly ParamType[] | undefined
  /** True where it may print: the name `console` occurs. */
  readonly prints: boolean
}

const paramTypes = new Set<string>(['string', 'number', 'json', 'bytes'] satisfies ParamType[])
const importsName = '$gearmill'
const defaultName = '$default'

/** Reads a kernel or a library. Throws KERNEL_SYNTAX. */
export function readModule(name: string, source: string): SourceModule {
  try {
    const parsed = parseSource(name, source)
    if (parsed.kind === 'program') refuseModuleSyntax(name, parsed.program, false)
    return new ModuleReader(name, parsed).read()
  } catch (cause) {
    if (!(cause instanceof RangeError)) throw cause
    throw new KernelError('KERNEL_SYNTAX', 'the source is nested too deeply to be read', { kernel: name }, { cause })
  }
}

type Parsed =
  | { readonly kind: 'program'; readonly text: string; readonly program: Program }
  | { readonly kind: 'expression'; readonly text: string; readonly expression: Expression }

function parseSource(name: string, source: string): Parsed {
  const asJavaScript = parseText(source)
  if (!('error' in asJavaScript)) return asJavaScript
  // The stack is full: no other form of the source is less deep.
  if (asJavaScript.error instanceof RangeError) throw asJavaScript.error
  const stripped = stripEither(name, source)
  const asTypeScript = parseText(stripped)
  if (!('error' in asTypeScript)) return asTypeScript
  if (asTypeScript.error instanceof RangeError) throw asTypeScript.error
  const { message, loc } = asTypeScript.error as SyntaxError & { readonly loc?: { readonly line: number } }
  const line = loc?.line
  throw new KernelError('KERNEL_SYNTAX', `${message.replace(/ \(\d+:\d+\)$/, '')} (line ${line ?? '?'})`, {
    kernel: name,
    line,
  })
}

// What has a meaning in real modules only.
function refuseModuleSyntax(name: string, node: AnyNode, inFunction: boolean): void {
  const isAwait = node.type === 'AwaitExpression' || (node.type === 'ForOfStatement' && node.await)
  const isMeta = node.type === 'MetaProperty' && node.meta.name === 'import'
  if (isMeta || (isAwait && !inFunction)) {
    const line = lineOf(node)
    const what = isMeta ? 'import.meta' : 'await outside of functions'
    throw new KernelError('KERNEL_SYNTAX', `there is no ${what} in a kernel (line ${line})`, { kernel: name, line })
  }
  for (const child of childrenOf(node)) refuseModuleSyntax(name, child, inFunction || isCallable(node))
}

// A function without a name is an expression, which has to be marked as one.
function stripEither(name: string, source: string): string {
  try {
    return stripTypes(source, name)
  } catch (error) {
    if (!/^\s*(?:async\s+)?function\s*\(/.test(source)) throw error
    return stripTypes(`(${source}\n)`, name)
  }
}

function parseText(text: string): Parsed | { readonly error: unknown } {
  try {
    return { kind: 'program', text, program: parseProgram(text) }
  } catch (error) {
    try {
      const expression = parseExpression(text)
      const isAll = /^[\s;]*$/.test(text.slice(expression.end))
      if (isAll && isCallable(expression)) return { kind: 'expression', text, expression }
    } catch {
      // The first error says more.
    }
    return { error }
  }
}

interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

class ModuleReader {
  readonly #name: string
  readonly #parsed: Parsed
  readonly #edits: Edit[] = []
  readonly #imports: ModuleImport[] = []
  readonly #passedOn: number[] = []
  /** Exported name -> expression that gives it. */
  readonly #exports = new Map<string, string>()
  /** Names of the top level with what they stand for, where that is a function. */
  readonly #locals = new Map<string, AnyNode | undefined>()
  #default: { readonly local: string; readonly node: AnyNode } | undefined
  #params: readonly ParamType[] | undefined

  constructor(name: string, parsed: Parsed) {
    this.#name = name
    this.#parsed = parsed
  }

  read(): SourceModule {
    if (this.#parsed.kind === 'program') for (const node of this.#parsed.program.body) this.#statement(node)
    else this.#single(this.#parsed.expression, 0, this.#parsed.text.length)
    const entry = this.#entry()
    // A source without exports is one whose functions are all for others, too.
    if (this.#exports.size === 0 && this.#passedOn.length === 0) {
      for (const local of this.#locals.keys()) this.#exports.set(local, local)
      if (entry) this.#exports.set('default', entry.local)
    }
    const node = entry?.node
    const contextAt =
      node && isCallable(node)
        ? node.params.findIndex((each) => {
            const target = each.type === 'AssignmentPattern' ? each.left : each
            return target.type === 'Identifier' && target.name === 'ctx'
          })
        : -1
    return {
      factory: this.#factory(entry?.local),
      imports: this.#imports,
      exports: [...this.#exports.keys()],
      passedOn: this.#passedOn,
      hasEntry: entry !== undefined,
      contextAt: contextAt < 0 ? undefined : contextAt,
      params: this.#params,
      prints: /\bconsole\b/.test(this.#parsed.text),
    }
  }

  #statement(node: Program['body'][number]): void {
    switch (node.type) {
      case 'ImportDeclaration':
        this.#import(node)
        this.#cut(node.start, node.end, '')
        break
      case 'ExportNamedDeclaration':
        if (node.declaration) {
          this.#declare(node.declaration)
          for (const name of declaredBy(node.declaration)) this.#exports.set(name, name)
          this.#readParams(node.declaration)
          this.#cut(node.start, node.declaration.start, '')
          break
        }
        if (node.source) {
          const at = this.#imports.length
          const names = node.specifiers.map((each, i) => ({ imported: nameOf(each.local), local: `$re${at}_${i}` }))
          this.#imports.push({ specifier: String(node.source.value), line: lineOf(node), names })
          node.specifiers.forEach((each, i) => this.#exports.set(nameOf(each.exported), names[i]?.local ?? ''))
        } else for (const each of node.specifiers) this.#exports.set(nameOf(each.exported), nameOf(each.local))
        this.#cut(node.start, node.end, '')
        break
      case 'ExportAllDeclaration': {
        const at = this.#imports.length
        const local = `$re${at}`
        const names = node.exported ? [{ imported: '*', local }] : []
        this.#imports.push({ specifier: String(node.source.value), line: lineOf(node), names })
        if (node.exported) this.#exports.set(nameOf(node.exported), local)
        else this.#passedOn.push(at)
        this.#cut(node.start, node.end, '')
        break
      }
      case 'ExportDefaultDeclaration': {
        const { declaration } = node
        const named = (isCallable(declaration) || isClass(declaration)) && 'id' in declaration ? declaration.id : null
        if (named && declaration.type !== 'FunctionExpression' && declaration.type !== 'ClassExpression') {
          this.#locals.set(named.name, declaration)
          this.#default = { local: named.name, node: declaration }
          this.#cut(node.start, declaration.start, '')
        } else {
          this.#default = { local: defaultName, node: declaration }
          this.#cut(node.start, declaration.start, `const ${defaultName}=`)
        }
        this.#exports.set('default', this.#default.local)
        break
      }
      case 'ExpressionStatement':
        // `(x) => ...` alone: a function that was turned into text.
        if (isCallable(node.expression) && this.#parsed.kind === 'program' && this.#parsed.program.body.length === 1) {
          this.#single(node.expression, node.start, node.end)
        }
        break
      default:
        this.#declare(node)
    }
  }

  #import(node: ImportDeclaration): void {
    const names = node.specifiers.map((each) => {
      const imported =
        each.type === 'ImportSpecifier'
          ? nameOf(each.imported)
          : each.type === 'ImportDefaultSpecifier'
            ? 'default'
            : '*'
      return { imported, local: each.local.name }
    })
    this.#imports.push({ specifier: String(node.source.value), line: lineOf(node), names })
  }

  #declare(node: AnyNode): void {
    if (node.type === 'FunctionDeclaration' || node.type === 'ClassDeclaration') {
      if (node.id) this.#locals.set(node.id.name, node)
    } else if (node.type === 'VariableDeclaration') {
      for (const { id, init } of node.declarations) {
        for (const name of namesOf(id)) this.#locals.set(name, init && isCallable(init) ? init : undefined)
      }
    }
  }

  #readParams(node: AnyNode): void {
    if (node.type !== 'VariableDeclaration') return
    const found = node.declarations.find(({ id }) => id.type === 'Identifier' && id.name === 'params')
    if (!found) return
    const list = found.init?.type === 'ArrayExpression' ? found.init.elements : undefined
    const types = list?.map((each) => (each?.type === 'Literal' ? each.value : undefined))
    if (!types?.every((each): each is ParamType => typeof each === 'string' && paramTypes.has(each))) {
      const line = lineOf(node)
      const wanted = [...paramTypes].map((each) => `'${each}'`).join(', ')
      throw new KernelError('KERNEL_SYNTAX', `params has to be a list of ${wanted} (line ${line})`, {
        kernel: this.#name,
        line,
      })
    }
    this.#params = types
  }

  /** All there is between `start` and `end` is this expression, perhaps in brackets. */
  #single(expression: AnyNode, start: number, end: number): void {
    this.#default = { local: defaultName, node: expression }
    this.#cut(start, expression.start, `const ${defaultName}=(`)
    this.#cut(expression.end, end, '\n)')
  }

  /** The function that is the kernel. */
  #entry(): { readonly local: string; readonly node: AnyNode | undefined } | undefined {
    const of = (local: string) => ({ local, node: this.#locals.get(local) })
    if (this.#locals.has(this.#name)) return of(this.#name)
    if (this.#default) return this.#default
    const exported = this.#exports.get(this.#name)
    if (exported !== undefined) return of(exported)
    const isFunction = (local: string): boolean => {
      const node = this.#locals.get(local)
      return node !== undefined && isCallable(node)
    }
    const functions = [...this.#exports.values()].filter(isFunction)
    if (functions.length === 1 && functions[0] !== undefined) return of(functions[0])
    if (this.#exports.size > 0) return undefined
    const open = [...this.#locals.keys()].filter((local) => !local.startsWith('_') && isFunction(local))
    return open.length === 1 && open[0] !== undefined ? of(open[0]) : undefined
  }

  /** What is taken out leaves its line breaks. */
  #cut(start: number, end: number, text: string): void {
    this.#edits.push({ start, end, text: text + this.#parsed.text.slice(start, end).replace(/[^\n]+/g, '') })
  }

  #factory(entry: string | undefined): string {
    const { text } = this.#parsed
    let body = ''
    let at = 0
    for (const edit of this.#edits.toSorted((a, b) => a.start - b.start)) {
      body += text.slice(at, edit.start) + edit.text
      at = edit.end
    }
    body += text.slice(at)
    // A first line for the shell, which is no JavaScript where it is not the first.
    body = body.replace(/^#!.*/, '')
    const bound = this.#imports.flatMap(({ names }, i) =>
      names.map(({ imported, local }) =>
        imported === '*'
          ? `${local}=${importsName}[${i}]`
          : `${local}=${importsName}[${i}][${JSON.stringify(imported)}]`,
      ),
    )
    const head = bound.length > 0 ? `const ${bound.join(',')};` : ''
    const exported = [...this.#exports].map(([name, local]) => `get ${JSON.stringify(name)}(){return ${local}}`)
    const passed = this.#passedOn.map((i) => `...(({default:_,...rest})=>rest)(${importsName}[${i}])`)
    const tail = `return{exports:{__proto__:null,${[...passed, ...exported].join(',')}},entry:${entry ?? 'undefined'}}`
    return `(function(${importsName}){"use strict";${head}${body}\n;${tail}})`
  }
}

function declaredBy(node: AnyNode): string[] {
  if (node.type === 'VariableDeclaration') return node.declarations.flatMap(({ id }) => [...namesOf(id)])
  return (node.type === 'FunctionDeclaration' || node.type === 'ClassDeclaration') && node.id ? [node.id.name] : []
}

const nameOf = (node: AnyNode): string =>
  node.type === 'Identifier' ? node.name : node.type === 'Literal' ? String(node.value) : ''

const lineOf = (node: AnyNode): number => node.loc?.start.line ?? 1
