// A script as V8 has it, parsed once: finds the syntax of a live function, and where it stood in the file that was written.
import { readFileSync } from 'node:fs'
import { SourceMap, type SourceMapPayload } from 'node:module'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { parse, type AnyNode, type MethodDefinition, type Program } from 'acorn'
import { CaptureError } from '../errors.ts'
import { inspector } from './inspector.ts'
import { exportsIn, importsIn, moduleScopeOf, type ImportedName, type ModuleScope } from './module-names.ts'
import {
  childrenOf,
  isCallable,
  isClass,
  makesScope,
  type Callable,
  type ClassNode,
  type Literal,
  type ScopeChain,
} from './syntax.ts'

interface Place {
  /** The scopes around it, innermost first. */
  readonly around: ScopeChain | undefined
  readonly strict: boolean
  /** The function around it, or the script. */
  readonly maker: AnyNode
  /** Whether one run of `maker` may make it several times. */
  readonly isRepeated: boolean
}

const loops = new Set(['ForStatement', 'ForInStatement', 'ForOfStatement', 'WhileStatement', 'DoWhileStatement'])

/** A function or class in a script. `start` and `end` are what `toString` of the live function gives. */
export interface Entry extends Place {
  readonly node: Literal
  readonly kind: 'function' | 'arrow' | 'method' | 'class'
  readonly start: number
  readonly end: number
  /** The `name` that the function has when its source is evaluated. */
  readonly name: string
  /** The computed key of a method: `[start, end]`. */
  readonly key: readonly [number, number] | undefined
}

export interface Position {
  /** An absolute path, or what the engine calls the script. */
  readonly file: string
  /** From 0. */
  readonly line: number
  readonly column: number
}

export class Script {
  readonly id: string
  readonly url: string
  readonly source: string
  /** The path of the file it came from; undefined for code made at run time. */
  readonly path: string | undefined
  readonly program: Program
  readonly moduleScope: ModuleScope
  readonly imports: ReadonlyMap<string, ImportedName>
  readonly #lines: readonly number[]
  readonly #offset: { readonly line: number; readonly column: number }
  readonly #entries = new Map<number, Entry[]>()
  readonly #methods = new Map<ClassNode, Record<'prototype' | 'static', ReadonlySet<string>>>()
  #exports: ReadonlyMap<string, string> | undefined
  #map: SourceMap | null | undefined

  constructor(id: string) {
    const text = inspector().script(id)
    this.id = id
    this.url = text.url
    this.source = text.source
    this.path = pathOf(text.url)
    try {
      this.program = parsed(text.source, text.isModule)
    } catch (cause) {
      throw new CaptureError('CAPTURE_SOURCE', `the source of ${this.path ?? text.url} cannot be parsed`, { cause })
    }
    this.#lines = lineStarts(text.source)
    this.#offset = { line: text.startLine, column: text.startColumn }
    this.moduleScope = moduleScopeOf(this.program)
    this.imports = importsIn(this.moduleScope.body)
    this.#index(this.program, { around: undefined, strict: text.isModule, maker: this.program, isRepeated: false })
  }

  #index(node: AnyNode, place: Place, method?: AnyNode): void {
    let strict = place.strict || isClass(node)
    if (isCallable(node) || node.type === 'Program') strict ||= hasDirective(node)
    if (isCallable(node) || isClass(node)) this.#add(node, { ...place, strict }, method)
    const inside: Place = {
      strict,
      around: makesScope(node) ? { node, outer: place.around } : place.around,
      maker: isCallable(node) ? node : place.maker,
      isRepeated: !isCallable(node) && (place.isRepeated || loops.has(node.type)),
    }
    for (const child of childrenOf(node)) {
      const isMethod =
        (node.type === 'MethodDefinition' || (node.type === 'Property' && (node.method || node.kind !== 'init'))) &&
        child === node.value
      this.#index(child, inside, isMethod ? node : undefined)
    }
  }

  #add(node: Literal, place: Place, method: AnyNode | undefined): void {
    let entry: Entry
    if (method?.type === 'MethodDefinition' || method?.type === 'Property') {
      const start = method.type === 'MethodDefinition' && method.static ? this.#afterStatic(method.start) : method.start
      const key: [number, number] | undefined = method.computed ? this.#brackets(method.key) : undefined
      entry = { ...place, node, kind: 'method', start, end: method.end, name: methodName(method), key }
    } else {
      const kind = isClass(node) ? 'class' : node.type === 'ArrowFunctionExpression' ? 'arrow' : 'function'
      const name = node.type === 'ArrowFunctionExpression' ? '' : (node.id?.name ?? '')
      entry = { ...place, node, kind, start: node.start, end: node.end, name, key: undefined }
    }
    const length = entry.end - entry.start
    const same = this.#entries.get(length)
    if (same === undefined) this.#entries.set(length, [entry])
    else same.push(entry)
  }

  // toString() of a static method leaves `static` out.
  #afterStatic(start: number): number {
    const gap = /^static(?:\s|\/\*[^]*?\*\/|\/\/.*\n)*/.exec(this.source.slice(start))
    return start + (gap?.[0].length ?? 0)
  }

  #brackets(key: AnyNode): [number, number] {
    return [this.source.lastIndexOf('[', key.start), this.source.indexOf(']', key.end) + 1]
  }

  /** The entry whose text is `text`, at or next to V8's position for it. */
  find(text: string, line: number, column: number): Entry | undefined {
    const found = (this.#entries.get(text.length) ?? []).filter((entry) => this.source.startsWith(text, entry.start))
    if (found.length <= 1) return found[0]
    const row = line - this.#offset.line
    const offset = (this.#lines[row] ?? 0) + (row === 0 ? column - this.#offset.column : column)
    return found.find(({ start, end }) => start <= offset && offset < end) ?? found[0]
  }

  methodText(member: MethodDefinition): string {
    return this.source.slice(member.static ? this.#afterStatic(member.start) : member.start, member.end)
  }

  /** The texts of a class' own methods, getters and setters, as `toString` gives them. */
  methodTexts(node: ClassNode, side: 'prototype' | 'static'): ReadonlySet<string> {
    const known = this.#methods.get(node)?.[side]
    if (known !== undefined) return known
    const texts = { prototype: new Set<string>(), static: new Set<string>() }
    for (const member of node.body.body) {
      if (member.type !== 'MethodDefinition') continue
      texts[member.static ? 'static' : 'prototype'].add(this.methodText(member))
    }
    this.#methods.set(node, texts)
    return texts[side]
  }

  /** What the script exports: exported name -> local name. */
  exported(): ReadonlyMap<string, string> {
    this.#exports ??= exportsIn(this.moduleScope.body)
    return this.#exports
  }

  /** The line of an offset in the script itself, from 0. */
  row(offset: number): number {
    let low = 0
    let high = this.#lines.length - 1
    while (low < high) {
      const middle = (low + high + 1) >> 1
      if ((this.#lines[middle] ?? 0) <= offset) low = middle
      else high = middle - 1
    }
    return low
  }

  /** Where an offset stood before compilation, if the script carries a source map; else where it stands. */
  position(offset: number): Position {
    const low = this.row(offset)
    const column = offset - (this.#lines[low] ?? 0)
    const original = this.#sourceMap()?.findEntry(low, column)
    if (original !== undefined && 'originalLine' in original && typeof original.originalLine === 'number') {
      return {
        file: this.#sourceFile(original.originalSource),
        line: original.originalLine,
        column: original.originalColumn,
      }
    }
    const shifted = low === 0 ? column + this.#offset.column : column
    return { file: this.path ?? this.url, line: low + this.#offset.line, column: Math.max(0, shifted) }
  }

  get hasSourceMap(): boolean {
    return this.#sourceMap() !== null
  }

  #sourceMap(): SourceMap | null {
    if (this.#map === undefined) {
      try {
        const text = sourceMapText(this.source, this.path)
        this.#map = text === undefined ? null : new SourceMap(JSON.parse(text) as SourceMapPayload)
      } catch {
        // Without its map a script is shown as it is.
        this.#map = null
      }
    }
    return this.#map
  }

  #sourceFile(source: string): string {
    if (source.startsWith('file:')) return pathOf(source) ?? source
    if (this.path === undefined || source.startsWith('/')) return source
    return pathOf(new URL(source, pathToFileURL(this.path)).href) ?? source
  }
}

function sourceMapText(source: string, path: string | undefined): string | undefined {
  const [, url] = [...source.matchAll(/^\/\/[#@] sourceMappingURL=(\S+)/gm)].at(-1) ?? []
  const inline = /^data:application\/json[^,]*;base64,(.*)$/.exec(url ?? '')
  if (inline?.[1] !== undefined) return Buffer.from(inline[1], 'base64').toString('utf8')
  if (url === undefined || path === undefined || url.startsWith('data:')) return undefined
  return readFileSync(new URL(url, pathToFileURL(path)), 'utf8')
}

function lineStarts(source: string): number[] {
  const starts = [0]
  for (const { index, 0: end } of source.matchAll(/\r\n|[\n\r\u2028\u2029]/g)) starts.push(index + end.length)
  return starts
}

function pathOf(url: string): string | undefined {
  const bare = url.replace(/[?#].*$/, '')
  if (bare.startsWith('file:')) return fileURLToPath(bare)
  return /^(?:\/|[A-Za-z]:[\\/])/.test(bare) ? bare : undefined
}

function parsed(source: string, isModule: boolean): Program {
  const ecmaVersion = 'latest'
  if (isModule) return parse(source, { ecmaVersion, sourceType: 'module' })
  return parse(source, {
    ecmaVersion,
    sourceType: 'script',
    allowReturnOutsideFunction: true,
    allowHashBang: true,
    allowSuperOutsideMethod: true,
  })
}

function hasDirective(node: Callable | Program): boolean {
  const body = node.type === 'Program' ? node : node.body
  if (body.type !== 'Program' && body.type !== 'BlockStatement') return false
  const statements: readonly AnyNode[] = body.body
  return statements.some(
    (statement) => statement.type === 'ExpressionStatement' && statement.directive === 'use strict',
  )
}

/** Whether instances of the class carry #private fields or methods. */
export function hasPrivateMembers(node: ClassNode): boolean {
  return node.body.body.some(
    (member) => member.type !== 'StaticBlock' && !member.static && member.key.type === 'PrivateIdentifier',
  )
}

function methodName(method: Extract<AnyNode, { type: 'MethodDefinition' | 'Property' }>): string {
  const { key, kind } = method
  const name = method.computed
    ? '_'
    : key.type === 'Identifier'
      ? key.name
      : key.type === 'Literal'
        ? String(key.value)
        : ''
  return kind === 'get' || kind === 'set' ? `${kind} ${name}` : name
}

const scripts = new Map<string, Script>()

export function scriptOf(id: string): Script {
  let script = scripts.get(id)
  if (script === undefined) {
    script = new Script(id)
    scripts.set(id, script)
  }
  return script
}
