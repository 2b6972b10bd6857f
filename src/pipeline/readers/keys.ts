// keys(pattern, options): the keyspace of each shard by ranges of SCAN, filtered by pattern and type on the server, with
// values read in few round trips.
import { type ReadBatch, defineReader } from '../define.ts'
import { type KeyspacePlan, KeyspacePart, planKeyspace } from './keyspace/parts.ts'
import { KeyRecords } from './keyspace/records.ts'
import { scanned } from './keyspace/scan.ts'
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
  async *read(options, { index, data }, context) {
    const { deployment, namespace } = context.environment
    const part = new KeyspacePart(data as KeyspacePlan, index)
    const records = new KeyRecords(deployment, options, context, part.large)
    const places = await part.locate(deployment, context.task)
    const [place] = places
    if (place !== undefined) context.task.count({ shard: place.shard })
    const batches = async function* (): AsyncGenerator<ReadBatch> {
      const wanted = { pattern: options.pattern, type: () => records.scanType }
      for (const place of places) {
        for await (const found of scanned(deployment, place, wanted, `${namespace}:{`)) yield* records.of(found)
      }
    }
    yield* ahead(batches())
    await part.confirm(deployment, places)
  },
})

/** The next batch is under way while one is worked on. */
async function* ahead(batches: AsyncGenerator<ReadBatch>): AsyncGenerator<ReadBatch> {
  try {
    for (let next = batches.next(); ;) {
      const { done, value } = await next
      if (done === true) return
      next = batches.next()
      // Its rejection is seen when it is awaited; until then it is no unhandled one.
      next.catch(() => undefined)
      yield value
    }
  } finally {
    await batches.return(undefined)
  }
}
