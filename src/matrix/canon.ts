// Which nodes stand for the same values: nodes of one operation on the same inputs have one number. What was stored is told
// apart by its id, a user's function by its identity.
import { type Node, inputsOf } from './node.ts'

export class Canon {
  readonly #numbers = new Map<Node, number>()
  readonly #names = new Map<string, number>()
  readonly #functions = new Map<unknown, number>()

  /** The nodes that these are made of, themselves included, inputs first, each value once. */
  order(roots: readonly Node[]): Node[] {
    const ordered: Node[] = []
    const begun = new Set<Node>()
    // A chain may be longer than the stack.
    const stack = roots.map((root) => ({ node: root, ready: false })).reverse()
    for (let top = stack.pop(); top !== undefined; top = stack.pop()) {
      const { node, ready } = top
      if (ready) {
        const before = this.#names.size
        this.#numbers.set(node, this.#numberOf(this.#nameOf(node)))
        if (this.#names.size > before) ordered.push(node)
      } else if (!begun.has(node)) {
        begun.add(node)
        stack.push({ node, ready: true })
        if (node.stored === undefined) for (const input of inputsOf(node)) stack.push({ node: input, ready: false })
      }
    }
    return ordered
  }

  /** The number of a node that order() has seen. */
  of(node: Node): number {
    return this.#numbers.get(node) as number
  }

  #numberOf(name: string): number {
    let number = this.#names.get(name)
    if (number === undefined) this.#names.set(name, (number = this.#names.size))
    return number
  }

  #functionOf(f: unknown): number {
    let number = this.#functions.get(f)
    if (number === undefined) this.#functions.set(f, (number = this.#functions.size))
    return number
  }

  #nameOf(node: Node): string {
    const { operation, stored, rows, cols, dtype, blockSize, stores } = node
    if (stored !== undefined) return `stored ${stored.id} ${stored.version}`
    const layout = `${rows} ${cols} ${dtype} ${blockSize} ${stores.join()}`
    const inputs = inputsOf(node).map((input) => this.of(input))
    switch (operation.kind) {
      case 'stored':
      case 'identity':
        return `${operation.kind} ${layout}`
      case 'full':
        // Zeros have signs.
        return `full ${Object.is(operation.value, -0) ? '-0' : operation.value} ${layout}`
      case 'random':
        return `random ${operation.seed} ${layout}`
      case 'cells': {
        const texts = operation.inputs.map((input) =>
          typeof input === 'number' ? `=${Object.is(input, -0) ? '-0' : input}` : this.of(input),
        )
        return `${operation.operation} ${texts.join()} ${layout}`
      }
      case 'map':
        return `map ${this.#functionOf(operation.f.call)} ${inputs.join()} ${layout}`
      case 'slice':
        return `slice ${operation.row} ${operation.col} ${inputs.join()} ${layout}`
      case 'reduce': {
        const how = typeof operation.how === 'string' ? operation.how : this.#functionOf(operation.how.call)
        return `reduce ${how} ${operation.axis} ${inputs.join()} ${layout}`
      }
      default:
        return `${operation.kind} ${inputs.join()} ${layout}`
    }
  }
}
