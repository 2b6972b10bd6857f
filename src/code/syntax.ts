// What the rest of code/ needs to know of JavaScript syntax: walking acorn's tree, and which names a piece of it declares.
import type { AnyNode, Pattern } from 'acorn'

export type Callable = Extract<
  AnyNode,
  { type: 'FunctionDeclaration' | 'FunctionExpression' | 'ArrowFunctionExpression' }
>
export type ClassNode = Extract<AnyNode, { type: 'ClassDeclaration' | 'ClassExpression' }>
/** What a live function can come from. */
export type Literal = Callable | ClassNode

const isNode = (value: unknown): value is AnyNode =>
  typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'

/** The direct children of a node, in source order. */
export function* childrenOf(node: AnyNode): Generator<AnyNode> {
  for (const value of Object.values(node) as unknown[]) {
    if (Array.isArray(value)) {
      for (const item of value as unknown[]) if (isNode(item)) yield item
    } else if (isNode(value)) yield value
  }
}

export function isCallable(node: AnyNode): node is Callable {
  return (
    node.type === 'FunctionDeclaration' || node.type === 'FunctionExpression' || node.type === 'ArrowFunctionExpression'
  )
}

export function isClass(node: AnyNode): node is ClassNode {
  return node.type === 'ClassDeclaration' || node.type === 'ClassExpression'
}

/** The names that a pattern binds. */
export function* namesOf(pattern: Pattern | AnyNode): Generator<string> {
  switch (pattern.type) {
    case 'Identifier':
      yield pattern.name
      break
    case 'ObjectPattern':
      for (const property of pattern.properties) {
        yield* namesOf(property.type === 'RestElement' ? property.argument : property.value)
      }
      break
    case 'ArrayPattern':
      for (const element of pattern.elements) if (element !== null) yield* namesOf(element)
      break
    case 'RestElement':
      yield* namesOf(pattern.argument)
      break
    case 'AssignmentPattern':
      yield* namesOf(pattern.left)
      break
    default:
  }
}

// `var` reaches out of blocks, but not out of functions.
function* varNames(node: AnyNode): Generator<string> {
  if (isCallable(node) || isClass(node)) return
  if (node.type === 'VariableDeclaration' && node.kind === 'var') {
    for (const declarator of node.declarations) yield* namesOf(declarator.id)
  }
  for (const child of childrenOf(node)) yield* varNames(child)
}

function* statementNames(statement: AnyNode): Generator<string> {
  switch (statement.type) {
    case 'VariableDeclaration':
      if (statement.kind !== 'var') for (const declarator of statement.declarations) yield* namesOf(declarator.id)
      break
    case 'FunctionDeclaration':
    case 'ClassDeclaration':
      // `export default function () {}` has no name.
      if (statement.id !== null) yield statement.id.name
      break
    case 'ImportDeclaration':
      for (const specifier of statement.specifiers) yield specifier.local.name
      break
    case 'ExportNamedDeclaration':
      if (statement.declaration) yield* statementNames(statement.declaration)
      break
    case 'ExportDefaultDeclaration':
      yield* statementNames(statement.declaration)
      break
    default:
  }
}

function* declaredIn(node: AnyNode): Generator<string> {
  switch (node.type) {
    case 'Program':
      yield* varNames(node)
      for (const statement of node.body) yield* statementNames(statement)
      break
    case 'FunctionDeclaration':
    case 'FunctionExpression':
    case 'ArrowFunctionExpression':
      if (node.type === 'FunctionExpression' && node.id) yield node.id.name
      for (const parameter of node.params) yield* namesOf(parameter)
      yield* varNames(node.body)
      break
    case 'BlockStatement':
    case 'StaticBlock':
      if (node.type === 'StaticBlock') for (const statement of node.body) yield* varNames(statement)
      for (const statement of node.body) yield* statementNames(statement)
      break
    case 'ForStatement':
      if (node.init) yield* statementNames(node.init)
      break
    case 'ForInStatement':
    case 'ForOfStatement':
      yield* statementNames(node.left)
      break
    case 'SwitchStatement':
      for (const clause of node.cases) for (const statement of clause.consequent) yield* statementNames(statement)
      break
    case 'CatchClause':
      if (node.param) yield* namesOf(node.param)
      break
    case 'ClassDeclaration':
    case 'ClassExpression':
      if (node.id) yield node.id.name
      break
    default:
  }
}

const scopeTypes = new Set([
  'Program',
  'FunctionDeclaration',
  'FunctionExpression',
  'ArrowFunctionExpression',
  'BlockStatement',
  'StaticBlock',
  'ForStatement',
  'ForInStatement',
  'ForOfStatement',
  'SwitchStatement',
  'CatchClause',
  'ClassDeclaration',
  'ClassExpression',
])

export const makesScope = (node: AnyNode): boolean => scopeTypes.has(node.type)

const declarations = new WeakMap<AnyNode, ReadonlySet<string>>()

/** The names that a scope declares itself; empty for nodes that are no scope. */
export function declaredNames(node: AnyNode): ReadonlySet<string> {
  let names = declarations.get(node)
  if (names === undefined) {
    names = new Set(declaredIn(node))
    declarations.set(node, names)
  }
  return names
}

/** A scope and those around it. */
export interface ScopeChain {
  readonly node: AnyNode
  readonly outer: ScopeChain | undefined
}

export function declaringScope(chain: ScopeChain | undefined, name: string): AnyNode | undefined {
  for (let scope = chain; scope !== undefined; scope = scope.outer)
    if (declaredNames(scope.node).has(name)) return scope.node
  return undefined
}

const assignments = new WeakMap<AnyNode, ReadonlySet<string>>()

/** Names that functions and classes inside of a scope assign: what may change while others see it. */
export function assignedInside(scope: AnyNode): ReadonlySet<string> {
  let names = assignments.get(scope)
  if (names === undefined) {
    const found = new Set<string>()
    for (const child of childrenOf(scope)) addAssigned(child, isCallable(child) || isClass(child), found)
    assignments.set(scope, (names = found))
  }
  return names
}

function addAssigned(node: AnyNode, isNested: boolean, found: Set<string>): void {
  if (isNested) for (const name of assignedBy(node)) found.add(name)
  for (const child of childrenOf(node)) addAssigned(child, isNested || isCallable(child) || isClass(child), found)
}

function* assignedBy(node: AnyNode): Generator<string> {
  if (node.type === 'AssignmentExpression') yield* namesOf(node.left)
  else if (node.type === 'UpdateExpression') yield* namesOf(node.argument)
  else if (node.type === 'ForInStatement' || node.type === 'ForOfStatement') yield* namesOf(node.left)
}

const valueTypes = new Set([
  'Literal',
  'TemplateLiteral',
  'ArrowFunctionExpression',
  'FunctionExpression',
  'ClassExpression',
  'ObjectExpression',
  'ArrayExpression',
  'NewExpression',
])

/**
 * Whether a scope declares a name in a way that never leaves it undefined: seen as undefined, it is not initialised yet (V8 shows
 * both alike).
 */
export function isAlwaysDefined(scope: AnyNode, name: string): boolean {
  const body = isCallable(scope) ? scope.body : scope
  const statements =
    body.type === 'Program' || body.type === 'BlockStatement' || body.type === 'StaticBlock' ? body.body : []
  for (const each of statements as readonly AnyNode[]) {
    const declared = each.type === 'ExportNamedDeclaration' && each.declaration ? each.declaration : each
    if (declared.type === 'ClassDeclaration' && declared.id?.name === name) return true
    if (declared.type !== 'VariableDeclaration' || declared.kind !== 'const') continue
    for (const { id, init } of declared.declarations) {
      if (id.type === 'Identifier' && id.name === name) return init != null && valueTypes.has(init.type)
    }
  }
  return false
}
