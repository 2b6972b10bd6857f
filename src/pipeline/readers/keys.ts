// keys(pattern, options): the keyspace of each shard by ranges of SCAN, filtered by pattern and type on the server, with
// values read in few round trips.
import { type ReadBatch, type RunContext, defineReader } from '../define.ts'
import { type KeyspacePlan, KeyspacePart, type Place, planKeyspace } from './keyspace/parts.ts'
import { KeyRecords } from './keyspace/records.ts'
import { KeyScan } from './keyspace/scan.ts'
import { type ValueType, valueTypes } from './values.ts'

export interface KeysOptions {
  readonly pattern: string
  readonly type?: ValueType | undefined
  readonly values: boolean
  readonly binary: boolean
}

const readCommands: Readonly<Record<ValueType, readonly string[]>> = {
  string: ['MGET', 'GETRANGE'],
  hash: ['HLEN', 'MEMORY USAGE', 'HGETALL', 'HSCAN'],
  list: ['LLEN', 'MEMORY USAGE', 'LRANGE'],
  set: ['SCARD', 'MEMORY USAGE', 'SMEMBERS', 'SSCAN'],
  zset: ['ZCARD', 'MEMORY USAGE', 'ZRANGE', 'ZSCAN'],
  stream: ['XLEN', 'MEMORY USAGE', 'XRANGE'],
}

export const keys = defineReader({
  name: 'keys',
  describe: ({ pattern, type, values, binary }: KeysOptions) => {
    const options = [
      type === undefined ? '' : `type: '${type}'`,
      values ? '' : 'values: false',
      binary ? 'binary: true' : '',
    ].filter((option) => option !== '')
    return `keys(${JSON.stringify(pattern)}${options.length === 0 ? '' : `, { ${options.join(', ')} }`})`
  },
  commands: ({ type, values }) => {
    const scan = type === undefined ? 'SCAN' : `SCAN TYPE ${type}`
    if (!values) return [scan]
    return [scan, 'TYPE', ...(type === undefined ? valueTypes.flatMap((one) => readCommands[one]) : readCommands[type])]
  },
  splits: async ({ values }, { deployment }) => {
    const { plan, keys: records } = await planKeyspace(deployment, values)
    return { count: plan.shards.reduce((sum, { ranges }) => sum + ranges, 0), data: plan, records }
  },
  read: (options, { index, data }, context) =>
    new KeyBatches(options, new KeyspacePart(data as KeyspacePlan, index), context),
})

/** The batches of a part: an iterator that is no generator, for the reason that KeyScan is none. */
class KeyBatches implements AsyncIterableIterator<ReadBatch> {
  readonly #options: KeysOptions
  readonly #part: KeyspacePart
  readonly #context: RunContext
  readonly #records: KeyRecords
  #places: readonly Place[] | undefined
  /** How many of the places were begun. */
  #begun = 0
  #scan: KeyScan | undefined
  /** What is left of the keys that came last. */
  #rest: AsyncGenerator<ReadBatch> | undefined
  #ahead: Promise<ReadBatch | undefined> | undefined

  constructor(options: KeysOptions, part: KeyspacePart, context: RunContext) {
    this.#options = options
    this.#part = part
    this.#context = context
    this.#records = new KeyRecords(context.environment.deployment, options, context, part.large)
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async next(): Promise<IteratorResult<ReadBatch, undefined>> {
    const value = await (this.#ahead ?? this.#read())
    if (value === undefined) return { done: true, value }
    // The next batch is under way while one is worked on. Keys alone are: by the scan.
    this.#ahead = this.#options.values ? this.#read() : undefined
    // Its rejection is seen when it is awaited; until then it is no unhandled one.
    this.#ahead?.catch(() => undefined)
    return { done: false, value }
  }

  async return(): Promise<IteratorResult<ReadBatch, undefined>> {
    await this.#ahead?.catch(() => undefined)
    await this.#rest?.return(undefined)
    return { done: true, value: undefined }
  }

  async #read(): Promise<ReadBatch | undefined> {
    for (;;) {
      const left = this.#rest === undefined ? undefined : await this.#rest.next()
      if (left !== undefined && left.done !== true) return left.value
      this.#rest = undefined
      const keys = await this.#scan?.next()
      if (keys === undefined) {
        if (!(await this.#begin())) return undefined
        continue
      }
      const reading = this.#records.atOnce(keys)
      // Behind the command that reads these keys: the server has them at hand now.
      this.#scan?.ahead()
      if (reading === undefined) this.#rest = this.#records.of(keys)
      else {
        const { batch, rest } = await reading
        this.#rest = rest
        return batch
      }
    }
  }

  /** Goes to the next place; false: all were read. */
  async #begin(): Promise<boolean> {
    const { deployment, namespace } = this.#context.environment
    if (this.#places === undefined) {
      this.#places = await this.#part.locate(deployment, this.#context.task)
      const [first] = this.#places
      if (first !== undefined) this.#context.task.count({ shard: first.shard })
    }
    const place = this.#places[this.#begun++]
    if (place === undefined) {
      await this.#part.confirm(deployment, this.#places)
      return false
    }
    const wanted = { pattern: this.#options.pattern, type: () => this.#records.scanType }
    this.#scan = new KeyScan(deployment, place, wanted, `${namespace}:{`)
    return true
  }
}
