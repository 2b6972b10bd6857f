// What a function or class needs from outside: its free names and how it uses them, found from the syntax alone.
import type { AnyNode, Identifier, MethodDefinition } from 'acorn'
import {
  childrenOf,
  declaringScope,
  isCallable,
  isClass,
  makesScope,
  type ClassNode,
  type Literal,
  type ScopeChain,
} from './syntax.ts'

/** One use of a free name. */
export interface Use {
  readonly start: number
  readonly end: number
  /** `{ name }`: a replacement has to keep the key. */
  readonly shorthand: boolean
  /** `name()` and name`...`: a replacement must not give it another `this`. */
  readonly called: boolean
}

export interface FreeName {
  readonly uses: Use[]
  /** Assigned to somewhere in the function. */
  written: boolean
  /** The members read as `name.member`, while that is all that happens to it; null as soon as it is used in another way. */
  members: Set<string> | null
  /** Only ever asked for as `typeof name`, which is no error for a name that does not exist. */
  guarded: boolean
}

export interface Shape {
  readonly free: ReadonlyMap<string, FreeName>
  /** What it takes from the place where it was written: `this`, `super`, `arguments` or `new.target`. */
  readonly lexical: string | undefined
  readonly importMeta: boolean
  readonly dynamicImports: readonly DynamicImport[]
}

export interface DynamicImport {
  /** The range of `import`, or of vite's name for it. */
  readonly start: number
  readonly end: number
  /** Undefined where it is computed. */
  readonly specifier: { readonly value: string; readonly start: number; readonly end: number } | undefined
}

export const viteDynamicImport = '__vite_ssr_dynamic_import__'

/** Parts of a class that have run when the class was made: their results are captured instead of them. */
export function evaluatedParts(node: ClassNode): AnyNode[] {
  const parts: AnyNode[] = node.superClass ? [node.superClass] : []
  for (const member of node.body.body) {
    if (member.type === 'StaticBlock') parts.push(member)
    else if (member.type === 'MethodDefinition' && member.computed) parts.push(member.key)
    else if (member.type === 'PropertyDefinition' && member.static) parts.push(member)
  }
  return parts
}

interface Surroundings {
  readonly chain: ScopeChain | undefined
  /** Whether `this` and `arguments` are the function's own here. */
  readonly ownThis: boolean
  readonly ownArguments: boolean
  readonly ownSuper: boolean
}

class Analysis {
  readonly free = new Map<string, FreeName>()
  readonly dynamicImports: DynamicImport[] = []
  lexical: string | undefined
  importMeta = false
  readonly #skipped: ReadonlySet<AnyNode>

  constructor(skipped: ReadonlySet<AnyNode>) {
    this.#skipped = skipped
  }

  visit(node: AnyNode, around: Surroundings): void {
    if (this.#skipped.has(node)) return
    const inside = makesScope(node) ? { ...around, chain: { node, outer: around.chain } } : around
    if (isCallable(node)) return this.#callable(node, inside)
    if (isClass(node)) return this.#class(node, inside)
    switch (node.type) {
      case 'Identifier':
        this.#use(node, inside)
        return
      case 'ThisExpression':
        if (!around.ownThis) this.lexical ??= 'this'
        return
      case 'Super':
        if (!around.ownSuper) this.lexical ??= 'super'
        return
      case 'MetaProperty':
        if (node.meta.name === 'import') this.importMeta = true
        else if (!around.ownArguments) this.lexical ??= 'new.target'
        return
      case 'ImportExpression':
        this.#import(node.start, node.start + 'import'.length, node.source)
        break
      case 'MemberExpression':
        if (node.object.type === 'Identifier') {
          const member = !node.computed && node.property.type === 'Identifier' ? node.property.name : undefined
          this.#use(node.object, inside, member === undefined ? {} : { member })
        } else this.visit(node.object, inside)
        if (node.computed) this.visit(node.property, inside)
        return
      case 'CallExpression':
      case 'TaggedTemplateExpression': {
        const callee = node.type === 'CallExpression' ? node.callee : node.tag
        if (callee.type === 'Identifier' && callee.name === viteDynamicImport && node.type === 'CallExpression') {
          this.#import(callee.start, callee.end, node.arguments[0])
        }
        if (callee.type === 'Identifier') this.#use(callee, inside, { called: true })
        else this.visit(callee, inside)
        for (const argument of node.type === 'CallExpression' ? node.arguments : [node.quasi])
          this.visit(argument, inside)
        return
      }
      case 'UnaryExpression':
        if (node.operator === 'typeof' && node.argument.type === 'Identifier') {
          this.#use(node.argument, inside, { guarded: true })
          return
        }
        break
      case 'Property':
        if (node.computed) this.visit(node.key, inside)
        if (node.value.type === 'Identifier') this.#use(node.value, inside, { shorthand: node.shorthand })
        else if (node.method || node.kind !== 'init') this.#method(node.value, inside)
        else this.visit(node.value, inside)
        return
      case 'UpdateExpression':
        this.#assigned(node.argument, inside)
        return
      case 'AssignmentExpression':
        this.#assigned(node.left, inside)
        this.visit(node.right, inside)
        return
      case 'ForInStatement':
      case 'ForOfStatement':
        if (node.left.type !== 'VariableDeclaration') this.#assigned(node.left, inside)
        else this.visit(node.left, inside)
        this.visit(node.right, inside)
        this.visit(node.body, inside)
        return
      case 'LabeledStatement':
        this.visit(node.body, inside)
        return
      case 'BreakStatement':
      case 'ContinueStatement':
        return
      default:
    }
    for (const child of childrenOf(node)) this.visit(child, inside)
  }

  #import(start: number, end: number, source: AnyNode | undefined): void {
    const isText = source?.type === 'Literal' && typeof source.value === 'string'
    const specifier = isText ? { value: String(source.value), start: source.start, end: source.end } : undefined
    this.dynamicImports.push({ start, end, specifier })
  }

  #callable(node: AnyNode, around: Surroundings): void {
    const own = node.type !== 'ArrowFunctionExpression'
    const inside = own ? { ...around, ownThis: true, ownArguments: true, ownSuper: false } : around
    for (const child of childrenOf(node)) this.visit(child, inside)
  }

  /** A method of an object literal or class: `super` is its own. */
  #method(node: AnyNode, around: Surroundings): void {
    const inside = {
      ...around,
      chain: { node, outer: around.chain },
      ownThis: true,
      ownArguments: true,
      ownSuper: true,
    }
    for (const child of childrenOf(node)) this.visit(child, inside)
  }

  #class(node: ClassNode, around: Surroundings): void {
    if (node.superClass) this.visit(node.superClass, around)
    const field = { ...around, ownThis: true, ownArguments: true, ownSuper: true }
    for (const member of node.body.body) {
      if (this.#skipped.has(member)) continue
      if (member.type === 'StaticBlock') {
        this.visit(member, field)
        continue
      }
      if (member.computed) this.visit(member.key, around)
      if (member.type === 'MethodDefinition') this.#method(member.value, around)
      else if (member.value) this.visit(member.value, field)
    }
  }

  #assigned(target: AnyNode, around: Surroundings): void {
    switch (target.type) {
      case 'Identifier':
        this.#use(target, around, { written: true })
        break
      case 'ObjectPattern':
        for (const property of target.properties) {
          if (property.type === 'RestElement') this.#assigned(property.argument, around)
          else {
            if (property.computed) this.visit(property.key, around)
            this.#assignedValue(property.value, around, property.shorthand)
          }
        }
        break
      case 'ArrayPattern':
        for (const element of target.elements) if (element !== null) this.#assigned(element, around)
        break
      case 'RestElement':
        this.#assigned(target.argument, around)
        break
      case 'AssignmentPattern':
        this.#assigned(target.left, around)
        this.visit(target.right, around)
        break
      default:
        this.visit(target, around)
    }
  }

  #assignedValue(value: AnyNode, around: Surroundings, shorthand: boolean): void {
    if (shorthand && value.type === 'Identifier') this.#use(value, around, { written: true, shorthand })
    else if (shorthand && value.type === 'AssignmentPattern' && value.left.type === 'Identifier') {
      this.#use(value.left, around, { written: true, shorthand })
      this.visit(value.right, around)
    } else this.#assigned(value, around)
  }

  #use(
    node: Identifier,
    around: Surroundings,
    how: { member?: string; written?: boolean; guarded?: boolean; shorthand?: boolean; called?: boolean } = {},
  ): void {
    if (declaringScope(around.chain, node.name) !== undefined) return
    if (node.name === 'arguments') {
      if (!around.ownArguments) this.lexical ??= 'arguments'
      return
    }
    let name = this.free.get(node.name)
    if (name === undefined) {
      name = { uses: [], written: false, members: new Set(), guarded: true }
      this.free.set(node.name, name)
    }
    name.uses.push({ start: node.start, end: node.end, shorthand: how.shorthand ?? false, called: how.called ?? false })
    if (how.written) name.written = true
    if (!how.guarded) name.guarded = false
    if (how.member === undefined) name.members = null
    else name.members?.add(how.member)
  }
}

const shapes = new WeakMap<AnyNode, Shape>()

/** Analyses one function or class. `method`: it is a method, getter or setter, and was cut out of its object or class. */
export function shapeOf(node: Literal): Shape {
  let shape = shapes.get(node)
  if (shape === undefined) {
    const analysis = new Analysis(new Set(isClass(node) ? evaluatedParts(node) : []))
    // A declaration is shipped as an expression, so that its own name is bound in it.
    analysis.visit(node, {
      chain:
        node.type === 'FunctionDeclaration'
          ? { node: { ...node, type: 'FunctionExpression' }, outer: undefined }
          : undefined,
      ownThis: false,
      ownArguments: false,
      ownSuper: false,
    })
    shape = analysis
    shapes.set(node, shape)
  }
  return shape
}

/** The methods of a class with a computed key, and the name that stands for the key in the shipped source. */
export function computedMethods(node: ClassNode): { readonly member: MethodDefinition; readonly name: string }[] {
  return node.body.body
    .filter((member) => member.type === 'MethodDefinition')
    .filter((member) => member.computed)
    .map((member, at) => ({ member, name: `$gmKey${at}` }))
}

/** Free names in the computed keys of a class' fields: they are read while the class is made. */
export function keyNames(node: Literal): string[] {
  if (!isClass(node)) return []
  const names = new Set<string>()
  const collect = (part: AnyNode): void => {
    if (part.type === 'Identifier') names.add(part.name)
    for (const child of childrenOf(part)) collect(child)
  }
  for (const member of node.body.body) {
    if (member.type === 'PropertyDefinition' && !member.static && member.computed) collect(member.key)
  }
  return [...names]
}
