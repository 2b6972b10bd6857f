// Operations on single cells, as the text that a generated loop has for them.

type Text = (a: string, b: string, c: string) => string

const compare =
  (sign: string): Text =>
  (a, b) =>
    `(${a} ${sign} ${b} ? 1 : 0)`
const call =
  (name: string): Text =>
  (a) =>
    `Math.${name}(${a})`

/** Comparisons give 1 or 0. Arithmetic is that of IEEE 754 doubles; results are rounded when they are stored. */
export const cellOperations = {
  add: (a, b) => `(${a} + ${b})`,
  sub: (a, b) => `(${a} - ${b})`,
  mul: (a, b) => `(${a} * ${b})`,
  div: (a, b) => `(${a} / ${b})`,
  pow: (a, b) => `Math.pow(${a}, ${b})`,
  square: (a) => `(${a} * ${a})`,
  neg: (a) => `(-${a})`,
  abs: call('abs'),
  sqrt: call('sqrt'),
  exp: call('exp'),
  log: call('log'),
  gt: compare('>'),
  ge: compare('>='),
  lt: compare('<'),
  le: compare('<='),
  eq: compare('==='),
  ne: compare('!=='),
  /** The smaller and the larger of two; NaN where one of them is. */
  least: (a, b) => `Math.min(${a}, ${b})`,
  most: (a, b) => `Math.max(${a}, ${b})`,
  /** 1 where the first two are further apart than the third, or one of them is NaN. */
  differ: (a, b, c) => `(${a} === ${b} || Math.abs(${a} - ${b}) <= ${c} ? 0 : 1)`,
} as const satisfies Record<string, Text>

export type CellOperation = keyof typeof cellOperations

export function textOf(operation: CellOperation, [a = '', b = '', c = '']: readonly string[]): string {
  const text: Text = cellOperations[operation]
  return text(a, b, c)
}
