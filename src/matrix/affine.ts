// Views: where the element (r, c) of an expression lies in what it is made from. Transposes, slices, diagonals and broadcast
// rows and columns are all maps of whole numbers, linear up to an offset, and so is each chain of them.

/** The element (r, c) is that at row `rr * r + rc * c + r0` and column `cr * r + cc * c + c0`. */
export interface Affine {
  readonly rr: number
  readonly rc: number
  readonly r0: number
  readonly cr: number
  readonly cc: number
  readonly c0: number
}

export const identity: Affine = { rr: 1, rc: 0, r0: 0, cr: 0, cc: 1, c0: 0 }
export const transposition: Affine = { rr: 0, rc: 1, r0: 0, cr: 1, cc: 0, c0: 0 }
export const diagonal: Affine = { rr: 1, rc: 0, r0: 0, cr: 1, cc: 0, c0: 0 }

export function shift(r0: number, c0: number): Affine {
  return { ...identity, r0, c0 }
}

/** First `outer`, then `inner`: where an element of the outer view lies in what the inner one looks at. */
export function compose(inner: Affine, outer: Affine): Affine {
  return {
    rr: inner.rr * outer.rr + inner.rc * outer.cr,
    rc: inner.rr * outer.rc + inner.rc * outer.cc,
    r0: inner.rr * outer.r0 + inner.rc * outer.c0 + inner.r0,
    cr: inner.cr * outer.rr + inner.cc * outer.cr,
    cc: inner.cr * outer.rc + inner.cc * outer.cc,
    c0: inner.cr * outer.r0 + inner.cc * outer.c0 + inner.c0,
  }
}

/** The map into a matrix of which one row stands for all, or one column, where it has only that. */
export function broadcast(map: Affine, rows: number, cols: number): Affine {
  return {
    ...map,
    ...(rows === 1 ? { rr: 0, rc: 0, r0: 0 } : {}),
    ...(cols === 1 ? { cr: 0, cc: 0, c0: 0 } : {}),
  }
}

export function sameMap(a: Affine, b: Affine): boolean {
  return a.rr === b.rr && a.rc === b.rc && a.r0 === b.r0 && a.cr === b.cr && a.cc === b.cc && a.c0 === b.c0
}

export function mapText({ rr, rc, r0, cr, cc, c0 }: Affine): string {
  return `${rr},${rc},${r0},${cr},${cc},${c0}`
}

/** Rows `row` to `row + rows - 1`, columns `col` to `col + cols - 1`. */
export interface Region {
  readonly row: number
  readonly col: number
  readonly rows: number
  readonly cols: number
}

/** The places between `from` and `to` at which a coordinate `step * x + offset` enters another block, and both ends. */
export function crossings(
  from: number,
  to: number,
  steps: readonly (readonly [number, number])[],
  size: number,
): number[] {
  const places = new Set([from, to])
  for (const [step, offset] of steps) {
    // Steps are 0 or 1: no view skips elements.
    if (step === 0) continue
    for (let x = from + size - ((from + offset) % size); x < to; x += size) places.add(x)
  }
  return [...places].sort((a, b) => a - b)
}
