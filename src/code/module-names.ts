// The module-level names of a script that stand for other modules, in every form that compilers leave them in: ESM imports,
// require() of CommonJS output, and the import objects of vite's module runner (vitest).
import type { AnyNode, Expression, Program } from 'acorn'
import { childrenOf, isCallable, namesOf, type Callable } from './syntax.ts'

export interface ImportedName {
  readonly specifier: string
  /** An export's name, 'default', or '*' for the namespace (with require: module.exports). */
  readonly name: string
  /** require() resolves and interoperates in other ways than import. */
  readonly how: 'import' | 'require' | 'vite'
  /** A compiler's interop call stands around require(): the value is an imitation of a namespace. */
  readonly wrapped?: true
}

const viteImport = /^__vite_ssr_(?:dynamic_)?import__$/
const interop = /^__(?:importStar|importDefault|toESM)$/
const viteExportName = '__vite_ssr_exportName__'

/** Where a module's own names are declared: `body` holds its statements, `wrapper` is the function that a tool put around them. */
export interface ModuleScope {
  readonly body: AnyNode
  readonly wrapper: Callable | undefined
}

/** Vite puts modules into a function with a block in a block, tsx and bundlers into a function that is called at once. */
export function moduleScopeOf(program: Program): ModuleScope {
  const [first, ...others] = program.body.filter(
    ({ type, ...each }) => type !== 'ExpressionStatement' || isWrapping(each),
  )
  const wrapper = others.length === 0 && first?.type === 'ExpressionStatement' ? wrapperIn(first.expression) : undefined
  if (wrapper?.body.type !== 'BlockStatement') return { body: program, wrapper: undefined }
  const [only, ...more] = wrapper.body.body
  return { body: more.length === 0 && only?.type === 'BlockStatement' ? only : wrapper.body, wrapper }
}

const isWrapping = (statement: object): boolean =>
  'expression' in statement && wrapperIn(statement.expression as AnyNode) !== undefined

function wrapperIn(node: AnyNode): Callable | undefined {
  if (node.type === 'CallExpression') return isCallable(node.callee) ? node.callee : wrapperIn(node.callee)
  if (node.type === 'MemberExpression') return isCallable(node.object) ? node.object : undefined
  const isVite =
    node.type === 'ArrowFunctionExpression' &&
    node.params.some((parameter) => parameter.type === 'Identifier' && parameter.name === '__vite_ssr_import__')
  return isVite ? node : undefined
}

function statementsOf(scope: AnyNode): readonly AnyNode[] {
  return scope.type === 'Program' || scope.type === 'BlockStatement' ? scope.body : []
}

function literalOf(node: AnyNode | undefined): string | undefined {
  return node?.type === 'Literal' && typeof node.value === 'string' ? node.value : undefined
}

/** `require('x')`, `await __vite_ssr_import__('x')` and `await import('x')`. */
function loaded(expression: Expression): Omit<ImportedName, 'name'> | undefined {
  if (expression.type === 'AwaitExpression') {
    const { argument } = expression
    if (
      argument.type === 'CallExpression' &&
      argument.callee.type === 'Identifier' &&
      viteImport.test(argument.callee.name)
    ) {
      const specifier = literalOf(argument.arguments[0])
      return specifier === undefined ? undefined : { specifier, how: 'vite' }
    }
    if (argument.type === 'ImportExpression') {
      const specifier = literalOf(argument.source)
      return specifier === undefined ? undefined : { specifier, how: 'import' }
    }
    return undefined
  }
  if (
    expression.type === 'CallExpression' &&
    expression.callee.type === 'Identifier' &&
    expression.callee.name === 'require'
  ) {
    const specifier = literalOf(expression.arguments[0])
    return specifier === undefined ? undefined : { specifier, how: 'require' }
  }
  if (expression.type === 'CallExpression') {
    const {
      callee,
      arguments: [inner],
    } = expression
    const last = callee.type === 'MemberExpression' ? callee.property : callee
    if (last.type !== 'Identifier' || !interop.test(last.name) || inner?.type !== 'CallExpression') return undefined
    const source = loaded(inner)
    return source?.how === 'require' ? { ...source, wrapped: true } : undefined
  }
  return undefined
}

/** Local name -> what it was imported as. */
export function importsIn(scope: AnyNode): ReadonlyMap<string, ImportedName> {
  const imports = new Map<string, ImportedName>()
  for (const statement of statementsOf(scope)) {
    if (statement.type === 'ImportDeclaration') {
      const specifier = String(statement.source.value)
      for (const each of statement.specifiers) {
        const name =
          each.type === 'ImportDefaultSpecifier'
            ? 'default'
            : each.type === 'ImportNamespaceSpecifier'
              ? '*'
              : each.imported.type === 'Identifier'
                ? each.imported.name
                : String(each.imported.value)
        imports.set(each.local.name, { specifier, name, how: 'import' })
      }
    }
    if (statement.type !== 'VariableDeclaration') continue
    for (const { id, init } of statement.declarations) {
      const source = init ? loaded(init) : undefined
      if (source === undefined) continue
      if (id.type === 'Identifier') imports.set(id.name, { ...source, name: '*' })
      else if (id.type === 'ObjectPattern') {
        for (const property of id.properties) {
          if (property.type !== 'Property' || property.computed || property.key.type !== 'Identifier') continue
          if (property.value.type === 'Identifier')
            imports.set(property.value.name, { ...source, name: property.key.name })
        }
      }
    }
  }
  return imports
}

/** Exported name -> local name, for ESM, vite's calls and `exports.name = name`. */
export function exportsIn(scope: AnyNode): ReadonlyMap<string, string> {
  const exported = new Map<string, string>()
  for (const statement of statementsOf(scope)) {
    if (statement.type === 'ExportNamedDeclaration') {
      const declaration = statement.declaration
      if (declaration?.type === 'VariableDeclaration') {
        for (const { id } of declaration.declarations) for (const name of namesOf(id)) exported.set(name, name)
      } else if (declaration) exported.set(declaration.id.name, declaration.id.name)
      else if (!statement.source) {
        for (const { local, exported: outside } of statement.specifiers) {
          if (local.type === 'Identifier' && outside.type === 'Identifier') exported.set(outside.name, local.name)
        }
      }
    } else if (statement.type === 'ExpressionStatement') {
      const { expression } = statement
      if (expression.type !== 'CallExpression' || expression.callee.type !== 'Identifier') continue
      if (expression.callee.name !== viteExportName) continue
      const outside = literalOf(expression.arguments[0])
      const local = expression.arguments[1] && returnedName(expression.arguments[1])
      if (outside !== undefined && local !== undefined) exported.set(outside, local)
    }
  }
  return exported
}

function returnedName(node: AnyNode): string | undefined {
  if (node.type === 'ReturnStatement') return node.argument?.type === 'Identifier' ? node.argument.name : undefined
  if (node.type === 'ArrowFunctionExpression' && node.body.type === 'Identifier') return node.body.name
  for (const child of childrenOf(node)) {
    const name = returnedName(child)
    if (name !== undefined) return name
  }
  return undefined
}
