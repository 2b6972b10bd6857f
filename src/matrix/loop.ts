// One generated loop for all cells of a region: no call per cell and operation, and no matrix in between.
import { MatrixError } from '../errors.ts'
import type { Operand, Values } from '../native/blas/product.ts'
import { mapText, type Region } from './affine.ts'
import { textOf } from './cells.ts'
import type { Axis, Reduction } from './node.ts'
import type { Expression, Tree } from './program.ts'

/** A function of the user, with what its errors are told by. */
export interface CellFunction {
  readonly call: (...args: readonly number[]) => unknown
  readonly label: string
  readonly stack: string
}

/** What a loop does with each value. `fold`: a function of the user. */
export type Sink =
  { readonly kind: 'store' } | { readonly kind: 'reduce'; readonly axis: Axis; readonly fold: Reduction | 'fold' }

type Run = (
  operands: readonly Operand[],
  constants: readonly number[],
  functions: readonly CellFunction[],
  fold: CellFunction | undefined,
  region: Region,
  out: Values,
  filled: Uint8Array | undefined,
) => void

/** A compiled tree: `leaves` are those of its expressions that read an array, in the order that `run` wants them. */
export interface Loop {
  readonly leaves: readonly Extract<Expression, { kind: 'source' | 'product' }>[]
  readonly constants: readonly number[]
  readonly functions: readonly number[]
  readonly run: Run
}

const most = 500
const compiled = new Map<string, Run>()

/** Values of two 32-bit hashes of seed, row and column: an element depends on nothing else, not on blocks and not on tasks. */
function mix(x: number): number {
  let h = x
  h = Math.imul(h ^ (h >>> 16), 0x85ebca6b)
  h = Math.imul(h ^ (h >>> 13), 0xc2b2ae35)
  return h ^ (h >>> 16)
}

function random(seed: number, single: boolean, row: number, col: number): number {
  const low = seed | 0
  const high = (seed / 2 ** 32) | 0
  const column = mix(Math.imul(col + 1, 0x9e3779b1) ^ low)
  const first = mix(column ^ mix(Math.imul(row + 1, 0x85ebca77) ^ high ^ Math.imul(low, 0x27d4eb2f)))
  if (single) return (first >>> 8) / 2 ** 24
  const second = mix(first ^ Math.imul(row, 0x165667b1) ^ Math.imul(column, 0x27d4eb2f) ^ 0x5bd1e995)
  return ((first >>> 5) * 2 ** 26 + (second >>> 6)) / 2 ** 53
}

/** What a function of the user gave, as a number. Throws TypeError. */
export function numberOf(value: unknown): number {
  if (typeof value === 'number') return value
  if (typeof value === 'boolean') return value ? 1 : 0
  throw new TypeError(`expected a number, got ${value === null ? 'null' : typeof value}`)
}

function failed(f: CellFunction | undefined, thrown: unknown, row: number, col: number): MatrixError {
  const reason = thrown instanceof Error ? thrown.message : String(thrown)
  const message = `${f?.label ?? 'a function'} failed at row ${row}, column ${col}: ${reason}`
  const error = new MatrixError('MATRIX_FUNCTION', message, { cause: thrown })
  if (f !== undefined) error.stack = `${String(error)}\n${f.stack}`
  return error
}

/** @param types the array of each leaf, `d` or `f`: loops over arrays of one type are faster than over any */
export function compileLoop(tree: Tree, sink: Sink, typeOfLeaf: (leaf: Loop['leaves'][number]) => 'd' | 'f'): Loop {
  const leaves: Loop['leaves'][number][] = []
  const constants: number[] = []
  const functions: number[] = []
  const lines: string[] = []
  tree.forEach((each, index) => lines.push(`const v${index} = ${textOfExpression(each)}`))

  function textOfExpression(each: Expression): string {
    switch (each.kind) {
      case 'source':
      case 'product': {
        const k = leaves.push(each) - 1
        return `d${k}[i${k}]`
      }
      case 'constant':
        return `k${constants.push(each.value) - 1}`
      case 'identity': {
        const [row, col] = placeTexts(each.map)
        return `((${row}) === (${col}) ? 1 : 0)`
      }
      case 'random': {
        const [row, col] = placeTexts(each.map)
        return `random(k${constants.push(each.seed) - 1}, ${each.single}, ${row}, ${col})`
      }
      case 'cells':
        return textOf(
          each.operation,
          each.inputs.map((input) => `v${input}`),
        )
      case 'map': {
        const f = functions.push(each.f) - 1
        const [row, col] = placeTexts(each.map)
        return `numberOf((at = ${f}, f${f}.call)(v${each.input}, ${row}, ${col}))`
      }
    }
  }

  const arrays = leaves.map((leaf) => typeOfLeaf(leaf)).join('')
  const key = `${arrays} ${sink.kind === 'store' ? 'store' : `${sink.axis} ${sink.fold}`} ${lines.join(';')}`
  let run = compiled.get(key)
  if (run === undefined) {
    if (compiled.size >= most) compiled.clear()
    compiled.set(key, (run = compile(lines, sink, leaves.length, constants.length, functions.length)))
  }
  return { leaves, constants, functions, run }
}

/** Row and column of what the map sees, from those of the region. */
function placeTexts(map: Parameters<typeof mapText>[0]): readonly [string, string] {
  const { rr, rc, r0, cr, cc, c0 } = map
  const text = (row: number, col: number, offset: number): string =>
    `${row === 0 ? '' : '(row + r) + '}${col === 0 ? '' : '(col + c) + '}${offset}`
  return [text(rr, rc, r0), text(cr, cc, c0)]
}

function foldText(fold: Reduction | 'fold', a: string, b: string): string {
  switch (fold) {
    case 'sum':
    case 'mean':
      return `${a} + ${b}`
    case 'min':
      return `(${b} < ${a} || ${b} !== ${b} ? ${b} : ${a})`
    case 'max':
      return `(${b} > ${a} || ${b} !== ${b} ? ${b} : ${a})`
    case 'fold':
      return `numberOf((at = -1, fold.call)(${a}, ${b}))`
  }
}

function compile(lines: readonly string[], sink: Sink, leaves: number, constants: number, functions: number): Run {
  const each = (count: number, text: (k: number) => string): string =>
    Array.from({ length: count }, (_, k) => text(k)).join('')
  const value = `v${lines.length - 1}`
  let [before, store, after] = ['', `out[o++] = ${value}`, '']
  if (sink.kind === 'reduce') {
    const place = sink.axis === 0 ? 'c' : sink.axis === 1 ? 'r' : '0'
    const first =
      sink.fold === 'sum' || sink.fold === 'mean'
        ? undefined
        : `if (filled[${place}] === 0) { filled[${place}] = 1; out[${place}] = ${value} } else`
    store = `${first ?? ''} out[${place}] = ${foldText(sink.fold, `out[${place}]`, value)}`
    // A row's own sum: fewer digits are lost than in one that grows over all rows.
    if (first === undefined && sink.axis !== 0) {
      before = 'let sum = 0'
      store = `sum += ${value}`
      after = `out[${place}] += sum`
    }
  }
  const text = `'use strict'
  return (operands, constants, functions, fold, region, out, filled) => {
    const { row, col, rows, cols } = region
    ${each(leaves, (k) => `const { data: d${k}, offset: o${k}, row: r${k}, column: c${k} } = operands[${k}]\n`)}
    ${each(constants, (k) => `const k${k} = constants[${k}]\n`)}
    ${each(functions, (k) => `const f${k} = functions[${k}]\n`)}
    let o = 0, r = 0, c = 0, at = -2
    try {
      for (r = 0; r < rows; r++) {
        ${each(leaves, (k) => `let i${k} = o${k} + r * r${k}\n`)}
        ${before}
        for (c = 0; c < cols; c++) {
          ${lines.join('\n')}
          ${store}
          ${each(leaves, (k) => `i${k} += c${k}\n`)}
        }
        ${after}
      }
    } catch (thrown) {
      throw failed(at < 0 ? fold : functions[at], thrown, row + r, col + c)
    }
  }`
  // The text is made of the templates here and in cells.ts, and of numbers: nothing of the user's is in it.
  // oxlint-disable-next-line typescript/no-implied-eval
  const make = new Function('random', 'numberOf', 'failed', text) as (...parts: unknown[]) => Run
  return make(random, numberOf, failed)
}
