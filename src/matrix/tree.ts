// Builds the tree that one step evaluates for each cell: views are pushed down to what is stored, equal parts are one.
import { type Affine, broadcast, compose, diagonal, identity, mapText, shift, transposition } from './affine.ts'
import type { Node, Operation, UserFunction } from './node.ts'
import type { Expression, Product, Tree } from './program.ts'

/** What a tree needs of the plan that it is a part of. */
export interface Planning {
  /** The node's matrix where it has one, or is to have one instead of being computed here. */
  existing(node: Node): number | undefined
  /** The node's matrix, made by a step of its own where there is none. */
  materialise(node: Node): number
  /** Equal for nodes that stand for the same values. */
  idOf(node: Node): number
  functionOf(f: UserFunction): number
  /** Told of every node that a step computes, with the view that it is computed through. */
  used(node: Node, step: number, map: Affine, parent: Node | undefined): void
}

/** The view of a node through which its input is seen. */
function viewOf(operation: Operation): Affine | undefined {
  if (operation.kind === 'transpose') return transposition
  if (operation.kind === 'diagonal') return diagonal
  return operation.kind === 'slice' ? shift(operation.row, operation.col) : undefined
}

export class TreeBuilder {
  readonly products: Product[] = []
  readonly #planning: Planning
  readonly #step: number
  /** Whether products are computed with the step. */
  readonly #multiplies: boolean
  readonly #expressions: Expression[] = []
  readonly #known = new Map<string, number>()
  readonly #visited = new Map<string, number>()

  constructor(planning: Planning, step: number, multiplies: boolean) {
    this.#planning = planning
    this.#step = step
    this.#multiplies = multiplies
  }

  /** Complete: nothing may be added any more. */
  get tree(): Tree {
    return this.#expressions
  }

  /** The matrices that the tree and its products read. */
  get sources(): readonly number[] {
    const trees = [this.tree, ...this.products.flatMap(({ a, b }) => [a, b])]
    return trees.flatMap((tree) => tree.flatMap((each) => (each.kind === 'source' ? [each.source] : [])))
  }

  /** Adds what the step makes. It is computed here even where other steps have it made for them. */
  root(node: Node): void {
    this.#computed(node, identity, undefined)
  }

  /** Adds a node, seen through a view; returns its index in the tree. */
  add(node: Node, map: Affine, parent?: Node): number {
    const source = this.#planning.existing(node)
    return source === undefined ? this.#computed(node, map, parent) : this.#source(source, map)
  }

  #computed(node: Node, map: Affine, parent: Node | undefined): number {
    const { operation } = node
    const view = viewOf(operation)
    if (view !== undefined && 'input' in operation) return this.add(operation.input, compose(view, map), parent)
    this.#planning.used(node, this.#step, map, parent)
    // An expression that uses another twice, which uses another twice, is small all the same.
    const name = `${this.#planning.idOf(node)} ${mapText(map)}`
    const visited = this.#visited.get(name)
    if (visited !== undefined) return visited
    const index = this.#expand(node, map)
    this.#visited.set(name, index)
    return index
  }

  #expand(node: Node, map: Affine): number {
    const { operation } = node
    switch (operation.kind) {
      case 'full':
        return this.#constant(operation.value)
      case 'identity':
        return this.#push(`identity ${mapText(map)}`, { kind: 'identity', map })
      case 'random': {
        const single = node.dtype === 'f32'
        const { seed } = operation
        return this.#push(`random ${seed} ${single} ${mapText(map)}`, { kind: 'random', seed, single, map })
      }
      case 'cells': {
        const inputs = operation.inputs.map((input) =>
          typeof input === 'number'
            ? this.#constant(input)
            : this.add(input, broadcast(map, input.rows, input.cols), node),
        )
        const name = `${operation.operation} ${inputs.join()}`
        return this.#push(name, { kind: 'cells', operation: operation.operation, inputs })
      }
      case 'map': {
        const f = this.#planning.functionOf(operation.f)
        const input = this.add(operation.input, map, node)
        return this.#push(`map ${f} ${input} ${mapText(map)}`, { kind: 'map', f, input, map })
      }
      case 'matmul':
        return this.#product(node, operation.a, operation.b, map)
      default:
        return this.#source(this.#planning.materialise(node), map)
    }
  }

  #source(source: number, map: Affine): number {
    return this.#push(`source ${source} ${mapText(map)}`, { kind: 'source', source, map })
  }

  #constant(value: number): number {
    // The encoding of programs knows one zero only.
    if (Object.is(value, -0)) {
      const inputs = [this.#constant(0)]
      return this.#push(`neg ${inputs[0]}`, { kind: 'cells', operation: 'neg', inputs })
    }
    return this.#push(`= ${value}`, { kind: 'constant', value })
  }

  #push(name: string, expression: Expression): number {
    let index = this.#known.get(name)
    if (index === undefined) {
      index = this.#expressions.push(expression) - 1
      this.#known.set(name, index)
    }
    return index
  }

  #product(node: Node, a: Node, b: Node, map: Affine): number {
    const { rr, rc, r0, cr, cc, c0 } = map
    const straight = rr === 1 && cc === 1 && rc === 0 && cr === 0
    const turned = rr === 0 && cc === 0 && rc === 1 && cr === 1
    if (!this.#multiplies || (!straight && !turned)) return this.#source(this.#planning.materialise(node), map)
    // Rows of a view of a product are a view of the rows of a; turned, those of b stand for them.
    const rowsOfA: Affine = straight ? { ...identity, r0 } : { rr: 0, rc: 1, r0, cr: 1, cc: 0, c0: 0 }
    const columnsOfB: Affine = straight ? { ...identity, c0 } : { rr: 0, rc: 1, r0: 0, cr: 1, cc: 0, c0 }
    const left = straight ? this.#operand(a, rowsOfA, node) : this.#operand(b, columnsOfB, node)
    const right = straight ? this.#operand(b, columnsOfB, node) : this.#operand(a, rowsOfA, node)
    const name = `product ${JSON.stringify([left, right])}`
    const known = this.#known.get(name)
    if (known !== undefined) return known
    const product: Product = {
      a: left.tree,
      b: right.tree,
      depth: a.cols,
      alpha: left.alpha * right.alpha,
      single: node.dtype === 'f32',
    }
    return this.#push(name, { kind: 'product', product: this.products.push(product) - 1 })
  }

  /** What is multiplied: something stored, or so little more that it is computed again for each task that needs it. */
  #operand(given: Node, view: Affine, parent: Node): { tree: Tree; alpha: number } {
    let node = given
    let map = view
    let alpha = 1
    while (this.#planning.existing(node) === undefined) {
      const { operation } = node
      const inner = viewOf(operation)
      if (inner !== undefined && 'input' in operation) {
        map = compose(inner, map)
        node = operation.input
      } else if (operation.kind === 'cells' && operation.operation === 'neg') {
        alpha = -alpha
        node = operation.inputs[0] as Node
      } else break
    }
    const builder = new TreeBuilder(this.#planning, this.#step, false)
    if (this.#planning.existing(node) !== undefined || isSimple(node)) builder.add(node, map, parent)
    else builder.#source(this.#planning.materialise(node), map)
    return { tree: builder.tree, alpha }
  }
}

/** Beyond so many nodes an operand is not simple. */
const mostSimple = 32

/** Whether one cell takes at most one cell of a matrix, and simple arithmetic. */
function isSimple(root: Node): boolean {
  let cells = 0
  const rest = [root]
  for (let visits = 0; rest.length > 0; visits++) {
    const { stored, operation } = rest.pop() as Node
    if (visits > mostSimple) return false
    if (stored !== undefined) cells += 1
    else if (operation.kind === 'cells') {
      rest.push(...operation.inputs.filter((input): input is Node => typeof input !== 'number'))
    } else if (viewOf(operation) !== undefined && 'input' in operation) rest.push(operation.input)
    else if (operation.kind !== 'full' && operation.kind !== 'identity' && operation.kind !== 'random') return false
  }
  return cells <= 1
}
