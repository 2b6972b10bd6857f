// Puts compiled code back onto the lines that it was written on, so that the stack of a shipped function needs no source map
// where it runs: only white space between statements, arguments, elements and members changes.
import type { AnyNode } from 'acorn'
import type { Entry, Script } from './script.ts'
import { evaluatedParts } from './shape.ts'
import { childrenOf, isClass } from './syntax.ts'

export interface Edit {
  readonly start: number
  readonly end: number
  readonly text: string
}

/** Nodes in a row, between which a line may end or not. `open`: where the first one's gap begins. */
function* rowsOf(node: AnyNode): Generator<{ readonly open: number; readonly nodes: readonly (AnyNode | null)[] }> {
  switch (node.type) {
    case 'BlockStatement':
    case 'ClassBody':
      yield { open: node.start + 1, nodes: node.body }
      break
    case 'ArrayExpression':
      yield { open: node.start + 1, nodes: node.elements }
      break
    case 'ObjectExpression':
      yield { open: node.start + 1, nodes: node.properties }
      break
    case 'CallExpression':
    case 'NewExpression':
      yield { open: -1, nodes: node.arguments }
      break
    case 'SwitchCase':
      yield { open: -1, nodes: node.consequent }
      break
    case 'VariableDeclaration':
      yield { open: -1, nodes: node.declarations }
      break
    case 'IfStatement':
      yield { open: -1, nodes: [node.test, node.consequent, ...(node.alternate ? [node.alternate] : [])] }
      break
    case 'WhileStatement':
      yield { open: -1, nodes: [node.test, node.body] }
      break
    case 'ForOfStatement':
    case 'ForInStatement':
      yield { open: -1, nodes: [node.right, node.body] }
      break
    case 'SequenceExpression':
      yield { open: -1, nodes: node.expressions }
      break
    default:
  }
}

const statement = /(?:Statement|Declaration)$/
const closed = new Set([
  'BlockStatement',
  'FunctionDeclaration',
  'ClassDeclaration',
  'IfStatement',
  'ForStatement',
  'ForInStatement',
  'ForOfStatement',
  'WhileStatement',
  'SwitchStatement',
  'TryStatement',
])

/** Whether what follows may stand on the same line: no statement that is ended by its line break alone. */
function mayJoin(source: string, previous: AnyNode): boolean {
  if (!statement.test(previous.type) && previous.type !== 'PropertyDefinition') return true
  const last = source[previous.end - 1]
  return last === ';' || (last === '}' && closed.has(previous.type))
}

/** The edits that bring each statement of `entry` to its own line, counted from the line that the entry begins on. */
export function layoutEdits(script: Script, entry: Entry): Edit[] {
  if (!script.hasSourceMap) return []
  const { source } = script
  const edits: Edit[] = []
  const skipped = new Set<AnyNode>(isClass(entry.node) ? evaluatedParts(entry.node) : [])
  const first = script.position(entry.start)
  const firstRow = script.row(entry.start)
  // Gaps by the node that follows them, so that they are met in source order, whatever they are part of.
  const gaps = new Map<AnyNode, { readonly start: number; readonly previous: AnyNode | undefined }>()
  let shift = 0
  const visit = (node: AnyNode): void => {
    if (skipped.has(node)) return
    const gap = gaps.get(node)
    if (gap !== undefined) settle(node, gap.start, gap.previous)
    for (const { open, nodes } of rowsOf(node)) {
      let previous: AnyNode | undefined
      for (const each of nodes) {
        if (each === null) continue
        const start = previous?.end ?? open
        if (start >= 0) gaps.set(each, { start, previous })
        previous = each
      }
    }
    for (const child of childrenOf(node)) visit(child)
  }
  const settle = (node: AnyNode, start: number, previous: AnyNode | undefined): void => {
    const [, separator = '', space] = /^(\s*(?:[,)]|else\b))?(\s*)$/.exec(source.slice(start, node.start)) ?? []
    if (space === undefined) return
    const { file, line } = script.position(node.start)
    if (file !== first.file) return
    const present = script.row(node.start) - firstRow + shift
    const breaks = space.split('\n').length - 1
    const wanted = Math.max(0, line - first.line - (present - breaks))
    if (wanted === breaks || (wanted === 0 && separator === '' && previous !== undefined && !mayJoin(source, previous)))
      return
    shift += wanted - breaks
    edits.push({ start: start + separator.length, end: node.start, text: wanted === 0 ? ' ' : '\n'.repeat(wanted) })
  }
  visit(entry.node)
  return edits
}
