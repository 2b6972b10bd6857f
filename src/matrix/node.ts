// The expression graph. A node never changes what it stands for; where its blocks are, once it was computed, is noted on it in
// place of how it is computed: whoever needs it again reads the blocks.
import { MatrixError } from '../errors.ts'
import type { CellOperation } from './cells.ts'
import type { FloatType } from './files/band.ts'
import type { Stored } from './stored.ts'

export type Reduction = 'sum' | 'min' | 'max' | 'mean'
/** What is left: one row (0), one column (1), or one cell ('all'). */
export type Axis = 0 | 1 | 'all'

/** A user's function, and where it was given, for refusals and errors. */
export interface UserFunction {
  readonly call: (...args: never[]) => unknown
  readonly label: string
  readonly stack: string
}

export type Operation =
  | { readonly kind: 'stored' }
  | { readonly kind: 'full'; readonly value: number }
  | { readonly kind: 'identity' }
  | { readonly kind: 'random'; readonly seed: number }
  | { readonly kind: 'cells'; readonly operation: CellOperation; readonly inputs: readonly (Node | number)[] }
  | { readonly kind: 'map'; readonly f: UserFunction; readonly input: Node }
  | { readonly kind: 'transpose' | 'diagonal'; readonly input: Node }
  | { readonly kind: 'slice'; readonly input: Node; readonly row: number; readonly col: number }
  | { readonly kind: 'matmul'; readonly a: Node; readonly b: Node }
  | { readonly kind: 'reduce'; readonly how: Reduction | UserFunction; readonly axis: Axis; readonly input: Node }

/** How results are laid out. */
export interface Layout {
  readonly dtype: FloatType
  readonly blockSize: number
  readonly stores: readonly string[]
}

export interface Node extends Layout {
  readonly rows: number
  readonly cols: number
  /** Is forgotten when the blocks are there. */
  operation: Operation
  /** Where its blocks are, once it was computed and as long as somebody holds it. */
  stored?: Stored | undefined
}

export function node(rows: number, cols: number, layout: Layout, operation: Operation): Node {
  const { dtype, blockSize, stores } = layout
  return { rows, cols, dtype, blockSize, stores, operation }
}

export function storedNode(stored: Stored): Node {
  return { ...node(stored.rows, stored.cols, stored, { kind: 'stored' }), stored }
}

export const shapeText = ({ rows, cols }: { readonly rows: number; readonly cols: number }): string =>
  `${rows} x ${cols}`

function mismatch(call: string, a: Node, b: Node): MatrixError {
  return new MatrixError('MATRIX_SHAPE', `${call}: ${shapeText(a)} and ${shapeText(b)} do not fit`)
}

/** f64 where one of them is. */
function widest(nodes: readonly Node[]): FloatType {
  return nodes.some(({ dtype }) => dtype === 'f64') ? 'f64' : 'f32'
}

/** Cell by cell. A row, a column or a single cell is repeated; numbers stand for every cell. */
export function cells(call: string, operation: CellOperation, inputs: readonly (Node | number)[]): Node {
  const nodes = inputs.filter((input): input is Node => typeof input !== 'number')
  const [first] = nodes as [Node]
  let { rows, cols } = first
  for (const each of nodes.slice(1)) {
    const fits = (one: number, other: number): boolean => one === other || one === 1 || other === 1
    if (!fits(rows, each.rows) || !fits(cols, each.cols)) throw mismatch(call, first, each)
    // Nothing repeated is nothing: an empty side wins over a single one.
    rows = rows === 1 ? each.rows : rows
    cols = cols === 1 ? each.cols : cols
  }
  const like = nodes.find((each) => each.rows === rows && each.cols === cols) ?? first
  return node(rows, cols, { ...like, dtype: widest(nodes) }, { kind: 'cells', operation, inputs })
}

export function matmul(a: Node, b: Node): Node {
  if (a.cols !== b.rows) throw mismatch('matmul', a, b)
  return node(a.rows, b.cols, { ...a, dtype: widest([a, b]) }, { kind: 'matmul', a, b })
}

export function transpose(input: Node): Node {
  // A view again: the node itself belongs to another handle.
  if (input.operation.kind === 'transpose') return slice(input.operation.input, 0, input.cols, 0, input.rows)
  return node(input.cols, input.rows, input, { kind: 'transpose', input })
}

export function diagonalOf(input: Node): Node {
  return node(Math.min(input.rows, input.cols), 1, input, { kind: 'diagonal', input })
}

/** Rows from `row` to `rowEnd`, columns from `col` to `colEnd`, the ends excluded. */
export function slice(input: Node, row: number, rowEnd: number, col: number, colEnd: number): Node {
  return node(Math.max(0, rowEnd - row), Math.max(0, colEnd - col), input, { kind: 'slice', input, row, col })
}

export function reduce(how: Reduction | UserFunction, axis: Axis, input: Node, dtype = input.dtype): Node {
  const rows = axis === 1 ? input.rows : 1
  const cols = axis === 0 ? input.cols : 1
  const gone = axis === 0 ? input.rows : axis === 1 ? input.cols : input.rows * input.cols
  if (gone === 0 && rows * cols > 0 && how !== 'sum' && how !== 'mean') {
    const name = typeof how === 'string' ? how : 'aggregate'
    throw new MatrixError('MATRIX_EMPTY', `${name}: ${shapeText(input)} has nothing to choose from`)
  }
  return node(rows, cols, { ...input, dtype }, { kind: 'reduce', how, axis, input })
}

/** What a node is computed from. */
export function inputsOf({ operation }: Node): readonly Node[] {
  switch (operation.kind) {
    case 'cells':
      return operation.inputs.filter((input): input is Node => typeof input !== 'number')
    case 'matmul':
      return [operation.a, operation.b]
    case 'map':
    case 'transpose':
    case 'diagonal':
    case 'slice':
    case 'reduce':
      return [operation.input]
    default:
      return []
  }
}
