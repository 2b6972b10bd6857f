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
  /** How long the data of one record are, where no size of it is free. */
  readonly length: number | undefined
  /** The class of its data. */
  readonly kind: new (length: number) => { readonly length: number }
  readonly declared: ModelValue
}

type Rows = readonly Row[]

/** Records whose rows have one shape, and where they are among all. */
interface Group {
  readonly at: number[]
  readonly rows: Rows[]
}

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
    const inputs = info.inputs.map((value) => batched(this.#name, value))
    const fixed = new Set(inputs.flatMap((input) => input.fixed ?? []))
    if (fixed.size > 1) {
      const message = `the inputs of model ${this.#name} take different numbers of records: ${[...fixed].join(', ')}`
      throw new ModelError('MODEL_OUTPUT', message)
    }
    this.#inputs = inputs
    this.#info = info
  }

  async predict(inputs: readonly unknown[]): Promise<readonly Settled[]> {
    if (this.#info === undefined) await this.ready()
    const info = this.#info as ModelInfo
    const settled = new Array<Settled>(inputs.length)
    const groups = this.#grouped(inputs, settled)
    const most = Math.min(...this.#inputs.map(({ fixed = Infinity }) => fixed))
    const session = await this.#models.session(info)
    for (const { at, rows } of groups) {
      for (let first = 0; first < rows.length; first += most) {
        const some = rows.length <= most ? rows : rows.slice(first, first + most)
        const results = await this.#run(session, some)
        for (let k = 0; k < results.length; k++) settled[at[first + k] as number] = results[k] as Settled
        if (most === Infinity) break
      }
    }
    return settled
  }

  /** Rows of one shape go together. What is wrong with an input is settled. */
  #grouped(inputs: readonly unknown[], settled: Settled[]): Iterable<Group> {
    const groups = new Map<string, Group>()
    let last: Group | undefined
    for (let k = 0; k < inputs.length; k++) {
      try {
        const rows = this.#rowsOf(inputs[k])
        // Mostly all are of the shape that the model declares, which is one object.
        if (last === undefined || !haveSameShapes(last.rows[0] as Rows, rows)) {
          const shape = rows.map((row) => row.shape.join(',')).join(';')
          last = groups.get(shape)
          if (last === undefined) groups.set(shape, (last = { at: [], rows: [] }))
        }
        last.at.push(k)
        last.rows.push(rows)
      } catch (thrown) {
        settled[k] = { thrown }
      }
    }
    return groups.values()
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
    const all = Object.entries(outputs)
    for (const [name, { shape }] of all) {
      if (shape[0] === count) continue
      const message = `output '${name}' of model ${this.#name}: expected a first dimension of ${count}, one for each record, got [${shape.join(', ')}]`
      throw new ModelError('MODEL_OUTPUT', message)
    }
    const each = new Array<Record<string, Tensor>>(rows.length)
    const cuts = all.map(([name, { dtype, shape, data }]) => ({
      name,
      dtype,
      shape: shape.slice(1),
      data,
      length: data.length / count,
    }))
    for (let i = 0; i < rows.length; i++) {
      const tensors: Record<string, Tensor> = {}
      for (const { name, dtype, shape, data, length } of cuts) {
        tensors[name] = { dtype, shape, data: data.slice(i * length, (i + 1) * length) }
      }
      each[i] = tensors
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

function haveSameShapes(one: Rows, other: Rows): boolean {
  for (let k = 0; k < one.length; k++) if ((one[k] as Row).shape !== (other[k] as Row).shape) return false
  return true
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
  const kind = (dtype === 'string' ? Array : dtypes[dtype].make(0).constructor) as Batched['kind']
  if (shape === undefined) return { name, dtype, fixed: undefined, row: undefined, length: undefined, kind, declared }
  const [first, ...row] = shape
  if (first === undefined) throw new ModelError('MODEL_OUTPUT', `${where} is a scalar: it has no dimension for records`)
  if (first === 0) throw new ModelError('MODEL_OUTPUT', `${where} takes no records: its first dimension is 0`)
  const sizes = row.filter((size) => typeof size === 'number')
  // Strings are looked at one by one.
  const isKnown = sizes.length === row.length && dtype !== 'string'
  const length = isKnown ? dataLength(dtype, product(sizes)) : undefined
  return { name, dtype, fixed: typeof first === 'number' ? first : undefined, row, length, kind, declared }
}

function rowOf(model: string, { name, dtype, row, length, kind, declared }: Batched, given: unknown): Row {
  // Elements of the declared type and number need no more than a look.
  if (length !== undefined && row !== undefined && given instanceof kind && given.length === length) {
    return { shape: row as readonly number[], data: given as DtypeData }
  }
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
