// Runs records through a model in batches: what each record gives is laid behind each other along the first dimension of the
// inputs, and the outputs are cut apart again. Where a batch fails, halves of it are tried, so that the record that is to
// blame fails alone.
import { type Dtype, type DtypeData, dataLength, dtypes } from '../codec/dtypes.ts'
import { type PlainData, type Tensor, dataOf } from '../codec/tensor.ts'
import { ModelError } from '../errors.ts'
import type { Settled } from '../pipeline/define.ts'
import type { Predictor } from '../pipeline/operations/predict.ts'
import { describeValue, isTensor } from './feed.ts'
import type { ExecutorModels } from './executor-models.ts'
import type { ModelInfo } from './model-store.ts'
import type { ModelValue } from './onnx-file.ts'
import type { Session } from './session.ts'

/** What one record gives to one input. */
interface Row {
  /** Without the dimension of the records. */
  readonly shape: readonly number[]
  readonly data: DtypeData
}

/** An input whose first dimension is that of the records. */
interface Batched {
  readonly name: string
  readonly dtype: Dtype
  /** How many records the model takes at a time, where it says so. */
  readonly fixed: number | undefined
  /** Of one record. */
  readonly row: readonly (number | string)[] | undefined
  readonly declared: ModelValue
}

type Rows = readonly Row[]

export class ModelPredictor implements Predictor {
  readonly #name: string
  readonly #models: ExecutorModels
  #info: ModelInfo | undefined
  #inputs: readonly Batched[] = []

  constructor(name: string, models: ExecutorModels) {
    this.#name = name
    this.#models = models
  }

  async ready(): Promise<void> {
    const info = await this.#models.meaning(this.#name)
    await this.#models.session(info)
    if (info.hash === this.#info?.hash) return
    this.#inputs = info.inputs.map((value) => batched(this.#name, value))
    this.#info = info
  }

  async predict(inputs: readonly unknown[]): Promise<readonly Settled[]> {
    if (this.#info === undefined) await this.ready()
    const info = this.#info as ModelInfo
    const settled = new Array<Settled>(inputs.length)
    // Rows of one shape go together.
    const groups = new Map<string, { readonly at: number[]; readonly rows: Rows[] }>()
    for (const [k, input] of inputs.entries()) {
      try {
        const rows = this.#rowsOf(input)
        const shape = rows.map((row) => row.shape.join(',')).join(';')
        let group = groups.get(shape)
        if (group === undefined) groups.set(shape, (group = { at: [], rows: [] }))
        group.at.push(k)
        group.rows.push(rows)
      } catch (thrown) {
        settled[k] = { thrown }
      }
    }
    const most = Math.min(...this.#inputs.map(({ fixed = Infinity }) => fixed))
    const session = await this.#models.session(info)
    for (const { at, rows } of groups.values()) {
      for (let first = 0; first < rows.length; first += most) {
        const some = rows.slice(first, first + most)
        const results = await this.#run(session, some)
        for (const [k, result] of results.entries()) settled[at[first + k] as number] = result
        if (most === Infinity) break
      }
    }
    return settled
  }

  async #run(session: Session, rows: readonly Rows[]): Promise<readonly Settled[]> {
    try {
      return (await this.#outputs(session, rows)).map((value) => ({ value }))
    } catch (thrown) {
      if (rows.length === 1) return [{ thrown }]
      const half = rows.length >> 1
      const first = await this.#run(session, rows.slice(0, half))
      return [...first, ...(await this.#run(session, rows.slice(half)))]
    }
  }

  /** The outputs of each record, by name. */
  async #outputs(session: Session, rows: readonly Rows[]): Promise<Record<string, Tensor>[]> {
    const feed = new Map<string, Tensor>()
    let count = rows.length
    for (const [k, { name, dtype, fixed }] of this.#inputs.entries()) {
      const parts = rows.map((each) => each[k] as Row)
      // A model of a fixed number gets the last record several times; what comes of it is left out.
      if (fixed !== undefined) while (parts.length < fixed) parts.push(parts.at(-1) as Row)
      count = parts.length
      feed.set(name, { dtype, shape: [count, ...(parts[0] as Row).shape], data: joined(dtype, parts) })
    }
    const outputs = await session.run(feed)
    const each = rows.map((): Record<string, Tensor> => ({}))
    for (const [name, { dtype, shape, data }] of Object.entries(outputs)) {
      if (shape[0] !== count) {
        const message = `output '${name}' of model ${this.#name}: expected a first dimension of ${count}, one for each record, got [${shape.join(', ')}]`
        throw new ModelError('MODEL_OUTPUT', message)
      }
      const row = shape.slice(1)
      const length = data.length / count
      for (const [i, tensors] of each.entries()) {
        tensors[name] = { dtype, shape: row, data: data.slice(i * length, (i + 1) * length) }
      }
    }
    return each
  }

  /** Throws MODEL_INPUT, MODEL_TENSOR. */
  #rowsOf(input: unknown): Rows {
    const [only, ...others] = this.#inputs
    if (only === undefined) throw new ModelError('MODEL_INPUT', `model ${this.#name} has no input`)
    const named = isNamed(input)
    if (others.length === 0 && !named) return [rowOf(this.#name, only, input)]
    const names = this.#inputs.map(({ name }) => name)
    if (!named) {
      const message = `model ${this.#name}: expected { ${names.join(', ')} } for each record, got ${typeof input}`
      throw new ModelError('MODEL_INPUT', message)
    }
    const unknown = Object.keys(input).find((name) => !names.includes(name))
    if (unknown !== undefined) {
      const message = `model ${this.#name} has no input '${unknown}'; it has ${names.join(', ')}`
      throw new ModelError('MODEL_INPUT', message)
    }
    return this.#inputs.map((each) => rowOf(this.#name, each, input[each.name]))
  }
}

/** An object of rows by name, not a row. */
function isNamed(input: unknown): input is Readonly<Record<string, unknown>> {
  return (
    typeof input === 'object' &&
    input !== null &&
    !Array.isArray(input) &&
    !ArrayBuffer.isView(input) &&
    !isTensor(input)
  )
}

function batched(model: string, declared: ModelValue): Batched {
  const { name, dtype, shape } = declared
  const where = `input '${name}' of model ${model}`
  if (dtype === 'unknown') throw new ModelError('MODEL_OUTPUT', `${where} is no tensor: it cannot be given records`)
  if (shape === undefined) return { name, dtype, fixed: undefined, row: undefined, declared }
  const [first, ...row] = shape
  if (first === undefined) throw new ModelError('MODEL_OUTPUT', `${where} is a scalar: it has no dimension for records`)
  return { name, dtype, fixed: typeof first === 'number' ? first : undefined, row, declared }
}

function rowOf(model: string, { name, dtype, row, declared }: Batched, given: unknown): Row {
  const where = `input '${name}' of model ${model}`
  const refuse = (got: string): never => {
    const expected = describeValue({ dtype, shape: row })
    throw new ModelError(
      'MODEL_INPUT',
      `${where}: expected ${expected} for each record (${describeValue(declared)}), got ${got}`,
    )
  }
  if (given === undefined || given === null) return refuse(String(given))
  if (typeof given === 'object' && isTensor(given)) {
    const { shape } = given
    // With or without a dimension of the one record.
    const own = row !== undefined && shape.length === row.length + 1 && shape[0] === 1 ? shape.slice(1) : shape
    if (given.dtype !== dtype || !fits(row, own)) return refuse(describeValue(given))
    return { shape: own, data: checkLength(where, dataOf(dtype, given.data, where), dtype, own) }
  }
  const plain = plainOf(given)
  const data = dataOf(dtype, plain, where)
  const shape = shapeFor(row, data.length / dtypes[dtype].per)
  if (shape === undefined) return refuse(`${data.length} values`)
  return { shape, data }
}

function checkLength(where: string, data: DtypeData, dtype: Dtype, shape: readonly number[]): DtypeData {
  const expected = dataLength(dtype, product(shape))
  if (data.length === expected) return data
  throw new ModelError(
    'MODEL_TENSOR',
    `${where}: expected ${expected} values for shape [${shape.join(', ')}], got ${data.length}`,
  )
}

function fits(row: readonly (number | string)[] | undefined, shape: readonly number[]): boolean {
  if (row === undefined) return true
  return row.length === shape.length && row.every((size, k) => typeof size === 'string' || size === shape[k])
}

/** The shape of a row of so many elements: at most one size is free. */
function shapeFor(row: readonly (number | string)[] | undefined, count: number): readonly number[] | undefined {
  if (row === undefined) return [count]
  const fixed = product(row.map((size) => (typeof size === 'number' ? size : 1)))
  const free = row.filter((size) => typeof size === 'string').length
  if (free === 0) return fixed === count ? (row as readonly number[]) : undefined
  const size = count / fixed
  if (free > 1 || !Number.isInteger(size)) return undefined
  return row.map((each) => (typeof each === 'number' ? each : size))
}

function product(sizes: readonly number[]): number {
  return sizes.reduce((all, size) => all * size, 1)
}

/** Arrays in arrays are laid out flat; one value is an array of one. */
function plainOf(given: unknown): PlainData {
  if (ArrayBuffer.isView(given)) return given as PlainData
  if (!Array.isArray(given)) return [given] as PlainData
  return (Array.isArray(given[0]) ? given.flat(Infinity) : given) as PlainData
}

function joined(dtype: Dtype, rows: Rows): DtypeData {
  const length = rows.reduce((sum, { data }) => sum + data.length, 0)
  if (dtype === 'string') return rows.flatMap(({ data }) => data as readonly string[])
  const whole = dtypes[dtype].make(length)
  let at = 0
  for (const { data } of rows) {
    // All are of the class that the dtype has.
    ;(whole as Float64Array).set(data as Float64Array, at)
    at += data.length
  }
  return whole
}
