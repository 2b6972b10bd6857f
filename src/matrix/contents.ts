// What is in a matrix: cells, blocks and bands of its blocks, which are computed first where they are not there.
import { MatrixError } from '../errors.ts'
import type { Evaluator } from './evaluator.ts'
import type { Band, Floats } from './files/band.ts'
import { type Node, shapeText } from './node.ts'
import type { Block } from './stored.ts'
import { readAll, readBands, viewOfStored } from './transfer.ts'

export function cellOf(evaluator: Evaluator, of: Node, row: number, col: number): Promise<number> {
  return evaluator.holding(of, async () => {
    const { stored, map } = viewOfStored(of) ?? { stored: await evaluator.evaluate(of), map: undefined }
    if (map === undefined) return evaluator.blocks.readCell(stored, row, col)
    const place = [map.rr * row + map.rc * col + map.r0, map.cr * row + map.cc * col + map.c0] as const
    return evaluator.blocks.readCell(stored, ...place)
  })
}

/** All elements, row by row. */
export function dataOf(evaluator: Evaluator, of: Node): Promise<Floats> {
  return evaluator.holding(of, async () => {
    if (viewOfStored(of) === undefined) await evaluator.evaluate(of)
    const view = viewOfStored(of)
    if (view === undefined) throw new MatrixError('MATRIX_CLOSED', `the matrix (${shapeText(of)}) was closed`)
    return readAll(evaluator.blocks, view)
  })
}

/** Block (i, j) of the grid. */
export function blockOf(evaluator: Evaluator, of: Node, i: number, j: number): Promise<Block> {
  return evaluator.holding(of, async () => evaluator.blocks.read(await evaluator.evaluate(of), i, j))
}

/** The rows in bands of one block's height, one in memory at a time. */
export async function* bandsOf(evaluator: Evaluator, of: Node): AsyncGenerator<Band> {
  const bands = readBands(evaluator.blocks, await evaluator.evaluate(of))
  for (;;) {
    const next = await evaluator.holding(of, () => bands.next())
    if (next.done === true) return
    yield next.value
  }
}

/** How often each value is in each column. */
export async function countsOf(evaluator: Evaluator, of: Node): Promise<Map<number, number>[]> {
  const found = await evaluator.count(of)
  const columns = Array.from({ length: of.cols }, () => new Map<number, number>())
  for (const { col, values, counts } of found) {
    const column = columns[col] as Map<number, number>
    values.forEach((value, k) => column.set(value, (column.get(value) ?? 0) + (counts[k] as number)))
  }
  return columns
}
