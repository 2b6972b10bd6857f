// K-means by Lloyd's iterations, started by k-means++ (Arthur and Vassilvitskii, 2007). Distances, choices and sums over the data
// are computed in executors; the centers are here. A cluster that lost its rows begins again at the row that is furthest from
// its center.
import { MatrixError } from '../../errors.ts'
import { checkCount, checkNumber, checkOptions, refuse, shown } from '../checks.ts'
import { Matrix } from '../matrix.ts'
import {
  checkFilled,
  checkMatrix,
  closeAll,
  doubles,
  doublesOnce,
  small,
  uniform,
  type MatrixSource,
} from './source.ts'

export interface KmeansOptions {
  /** How many clusters; without `centers`. */
  readonly k?: number
  /** Where to start, a row for each cluster. Default: `k` rows of the data, by k-means++. */
  readonly centers?: Matrix | readonly (readonly number[])[]
  /** At most so many steps. Default 100. */
  readonly iterations?: number
  /** Ends when the centers move by less in all, relative to the spread of the data. Default 1e-6. */
  readonly tolerance?: number
  /** Of the start by k-means++. Default 0. */
  readonly seed?: number
}

export interface Kmeans {
  /** A row for each cluster. */
  readonly centers: Matrix
  /** The number of the cluster of each row, as a column. */
  readonly labels: Matrix
  /** Rows of each cluster. */
  readonly counts: Float64Array
  /** The sum of the squared distances of rows to their centers. */
  readonly inertia: number
  readonly iterations: number
  /** Whether the centers had come to rest before `iterations`. */
  readonly converged: boolean
}

export async function kmeans(source: MatrixSource, data: Matrix, options: KmeansOptions): Promise<Kmeans> {
  checkMatrix('kmeans', 'data', data)
  checkFilled('kmeans', 'data', data)
  checkOptions('kmeans', options, ['k', 'centers', 'iterations', 'tolerance', 'seed'])
  const { iterations = 100, tolerance = 1e-6, seed = 0 } = options
  checkCount('kmeans', 'iterations', iterations, 1)
  checkCount('kmeans', 'seed', seed, 0, 2 ** 32 - 1)
  if (!(checkNumber('kmeans', 'tolerance', tolerance) >= 0)) refuse('kmeans', 'tolerance to be at least 0', tolerance)
  const given = options.centers === undefined ? undefined : await givenCenters(data, options.centers)
  const k = checkCount('kmeans', 'k', options.k ?? (given && given.length / data.cols), 1, data.rows)
  if (given !== undefined && given.length !== k * data.cols) refuse('kmeans', `${k} centers, or no k`, options.centers)
  // Around its mean, so that distances do not drown in the size of the coordinates.
  await data.eval()
  const mean = await doublesOnce(data.mean({ axis: 0 }))
  await using middle = await small(source, data, mean, 1, data.cols)
  await using around = data.sub(middle)
  await around.eval()
  const spread = await around.pow(2).mean()
  if (!Number.isFinite(spread)) refuse('kmeans', 'finite numbers', spread)
  const run = new Lloyd(source, around)
  const shift = (values: Float64Array, sign: number): Float64Array =>
    values.map((value, at) => value + sign * (mean[at % data.cols] as number))
  let centers = given === undefined ? await run.start(k, uniform(seed)) : shift(given, -1)
  const enough = tolerance * tolerance * spread
  for (let step = 1; ; step++) {
    const before = centers
    centers = await run.step(before, k)
    const moved = centers.reduce((sum, value, at) => sum + (value - (before[at] as number)) ** 2, 0)
    const converged = moved <= enough
    if (!converged && step < iterations) continue
    const found = await run.result(centers, k)
    const back = await small(source, data, shift(centers, 1), k, data.cols)
    return { centers: back, ...found, iterations: step, converged }
  }
}

async function givenCenters(data: Matrix, centers: Matrix | readonly (readonly number[])[]): Promise<Float64Array> {
  const rows = centers instanceof Matrix ? await centers.toArray() : centers
  if (!Array.isArray(rows) || rows.length === 0) refuse('kmeans', 'centers to be a matrix or an array of rows', centers)
  const wrong = rows.findIndex(
    // Holes are not what every() looks at.
    (row) => !Array.isArray(row) || row.length !== data.cols || !Array.from(row).every((x) => Number.isFinite(x)),
  )
  if (wrong < 0) return Float64Array.from(rows.flat())
  const message = `kmeans: expected centers of ${data.cols} finite numbers, got ${shown(rows[wrong])}`
  throw new MatrixError('MATRIX_SHAPE', message)
}

/** Which of the centers each row belongs to. */
interface Assignment {
  /** A column of the squared distance to the nearest one. */
  readonly nearest: Matrix
  /** A row for each row of the data: 1 at its cluster. */
  readonly chosen: Matrix
  /** To be closed when the others are computed. */
  readonly made: readonly Matrix[]
}

class Lloyd {
  readonly #source: MatrixSource
  readonly #data: Matrix

  constructor(source: MatrixSource, data: Matrix) {
    this.#source = source
    this.#data = data
  }

  #small(values: Float64Array, rows: number, cols: number): Promise<Matrix> {
    return small(this.#source, this.#data, values, rows, cols)
  }

  async #row(index: number): Promise<Float64Array> {
    return doubles(this.#data.slice(index, index + 1))
  }

  /** k-means++: each center is a row, chosen with the square of its distance to those before as its weight. */
  async start(k: number, random: () => number): Promise<Float64Array> {
    const { rows, cols } = this.#data
    const centers = new Float64Array(k * cols)
    let nearest: Matrix | undefined
    for (let c = 0; c < k; c++) {
      const index = nearest === undefined ? Math.floor(random() * rows) : await weighted(nearest, random())
      const center = await this.#row(index)
      centers.set(center, c * cols)
      const row = await this.#small(center, 1, cols)
      const distance = this.#data.sub(row).pow(2).sum({ axis: 1 })
      const next: Matrix = nearest === undefined ? distance : nearest.least(distance)
      await next.eval()
      await closeAll([row, nearest])
      nearest = next
    }
    await nearest?.close()
    return centers
  }

  /** Lazy. */
  async #assign(centers: Matrix, k: number): Promise<Assignment> {
    const distances = this.#data.distances(centers).pow(2)
    const nearest = distances.min({ axis: 1 })
    const least = distances.eq(nearest)
    // Of centers that are equally near the first one counts: those that have none of the ones in front of them.
    const before = Float64Array.from({ length: k * k }, (_, at) => (Math.floor(at / k) < at % k ? 1 : 0))
    const triangle = await this.#small(before, k, k)
    return { nearest, chosen: least.mul(least.matmul(triangle).eq(0)), made: [triangle] }
  }

  /** The means of the clusters. */
  async step(before: Float64Array, k: number): Promise<Float64Array> {
    const { cols } = this.#data
    const centers = await this.#small(before, k, cols)
    const { nearest, chosen, made } = await this.#assign(centers, k)
    const [sums, counts] = [chosen.T.matmul(this.#data), chosen.sum({ axis: 0 })]
    await this.#source.eval([sums, counts, nearest])
    const [total, size] = [await doubles(sums), await doubles(counts)]
    const next = total.map((sum, at) => sum / (size[Math.floor(at / cols)] as number))
    const empty = Array.from(size.keys()).filter((c) => size[c] === 0)
    const far = empty.length === 0 ? [] : await furthest(nearest, empty.length)
    for (const [i, c] of empty.entries()) next.set(await this.#row(far[i] as number), c * cols)
    await closeAll([centers, sums, counts, nearest, ...made])
    return next
  }

  async result(found: Float64Array, k: number): Promise<Pick<Kmeans, 'labels' | 'counts' | 'inertia'>> {
    const centers = await this.#small(found, k, this.#data.cols)
    const { nearest, chosen, made } = await this.#assign(centers, k)
    const numbers = await this.#small(
      Float64Array.from({ length: k }, (_, c) => c),
      k,
      1,
    )
    const [labels, sizes, total] = [chosen.matmul(numbers), chosen.sum({ axis: 0 }), nearest.sum({ axis: 'all' })]
    await this.#source.eval([labels, sizes, total])
    const [counts, inertia] = [await doubles(sizes), await total.get(0, 0)]
    await closeAll([centers, numbers, sizes, total, ...made])
    return { labels, counts, inertia }
  }
}

/** The row at which the sum of a column passes a share of the whole. */
async function weighted(column: Matrix, share: number): Promise<number> {
  const wanted = share * (await column.sum())
  let sum = 0
  let last = 0
  for await (const { row, data } of column.bands()) {
    for (const [i, value] of data.entries()) {
      if (value === 0) continue
      last = row + i
      sum += value
      if (sum > wanted) return last
    }
  }
  // Rounding, or rows that are all the same.
  return last
}

/** The rows with the largest values of a column. */
async function furthest(column: Matrix, count: number): Promise<number[]> {
  let top: { readonly at: number; readonly value: number }[] = []
  for await (const { row, data } of column.bands()) {
    const all = [...top, ...Array.from(data, (value, i) => ({ at: row + i, value }))]
    top = all.sort((a, b) => b.value - a.value || a.at - b.at).slice(0, count)
  }
  return top.map(({ at }) => at)
}
