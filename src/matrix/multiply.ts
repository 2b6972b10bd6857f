// One tile of a product: a sum over chunks of the depth, of which the next one is fetched while this one is multiplied.
import { blas } from '../native/blas/blas.ts'
import { compact, type Operand, type Values } from '../native/blas/product.ts'
import { type Affine, type Region, crossings } from './affine.ts'
import type { Product, Tree } from './program.ts'

/** What a tile needs of its task. */
export interface Operands {
  /** What a region sees of a tree without products. It must not be written to. */
  operand(tree: Tree, region: Region): Promise<Operand>
  blockSizeOf(source: number): number
  throwIfAborted(): void
}

/** Of operands that are made of no matrix. */
const chunk = 512

interface Panel {
  readonly at: number
  readonly length: number
  readonly operand: Operand
}

interface Panels {
  readonly depth: number
  readonly left: readonly Panel[]
  readonly right: readonly Panel[]
}

/** The product's cells of a region, row by row. */
export async function multiply({ a, b, depth, alpha, single }: Product, tile: Region, task: Operands): Promise<Values> {
  const { row, col, rows, cols } = tile
  const data = single ? new Float32Array(rows * cols) : new Float64Array(rows * cols)
  // Panels end where blocks do, so that they are read without copying.
  const rowEnds = ends(a, 'rows', row, row + rows, task)
  const colEnds = ends(b, 'cols', col, col + cols, task)
  const depthEnds = ends(a, 'cols', 0, depth, task)
  const load = async (from: number, to: number): Promise<Panels> => {
    const panels = (
      list: readonly number[],
      read: (at: number, length: number) => Promise<Operand>,
    ): Promise<Panel[]> =>
      Promise.all(
        list.slice(1).map(async (end, i) => {
          const at = list[i] as number
          return { at, length: end - at, operand: await read(at, end - at) }
        }),
      )
    const size = to - from
    const [left, right] = await Promise.all([
      panels(rowEnds, async (at, length) =>
        typed(await task.operand(a, { row: at, col: from, rows: length, cols: size }), length, size, single),
      ),
      panels(colEnds, async (at, length) =>
        typed(await task.operand(b, { row: from, col: at, rows: size, cols: length }), size, length, single),
      ),
    ])
    return { depth: size, left, right }
  }
  let next = depthEnds.length > 1 ? load(0, depthEnds[1] as number) : undefined
  for (let k = 1; k < depthEnds.length; k++) {
    task.throwIfAborted()
    const panels = (await next) as Panels
    const [from, to] = [depthEnds[k], depthEnds[k + 1]]
    next = from !== undefined && to !== undefined ? load(from, to) : undefined
    // Awaited in the next round; until then a failure belongs to nobody.
    next?.catch(() => undefined)
    for (const left of panels.left) {
      for (const right of panels.right) {
        const c = { data, offset: (left.at - row) * cols + right.at - col, row: cols }
        const sizes = { m: left.length, n: right.length, k: panels.depth }
        await blas().gemm({ ...sizes, alpha, a: left.operand, b: right.operand, c })
      }
    }
  }
  return data
}

/** Where panels begin and end along one side. */
function ends(tree: Tree, side: 'rows' | 'cols', from: number, to: number, task: Operands): number[] {
  const source = tree.find((each) => each.kind === 'source')
  if (source === undefined) return crossings(from, to, [[1, 0]], chunk)
  const { rr, rc, r0, cr, cc, c0 }: Affine = source.map
  const steps =
    side === 'rows'
      ? ([
          [rr, r0],
          [cr, c0],
        ] as const)
      : ([
          [rc, r0],
          [cc, c0],
        ] as const)
  const size = task.blockSizeOf(source.source)
  return steps.some(([step]) => step !== 0) ? crossings(from, to, steps, size) : crossings(from, to, [[1, 0]], chunk)
}

/** The operand with numbers of the type that is multiplied. */
function typed(operand: Operand, rows: number, cols: number, single: boolean): Operand {
  if (operand.data instanceof Float32Array === single) return operand
  const { data, ...strides } = compact(operand, rows, cols)
  return { data: single ? new Float32Array(data) : new Float64Array(data), ...strides }
}
