// keys(pattern, options): the keyspace of each shard by SCAN, filtered by pattern and type on the server, with values read
// in pipelined batches. A key that SCAN gives twice within a split is one record.
import type { Argument, Deployment, Reply } from '../../redis/deployment.ts'
import { GearmillError } from '../../errors.ts'
import { type ReadBatch, type RunContext, defineReader } from '../define.ts'
import { type ValueType, readValues, valueTypes } from './values.ts'
import { textOfReply } from './decode.ts'

export interface KeysOptions {
  readonly pattern: string
  readonly type?: ValueType | undefined
  readonly values: boolean
  readonly binary: boolean
}

interface KeysData {
  /** One split for each. */
  readonly shards: readonly string[]
}

const scanCount = 1000
const keysTogether = 500

const readCommands: Readonly<Record<ValueType, readonly string[]>> = {
  string: ['GET'],
  hash: ['HLEN', 'HGETALL', 'HSCAN'],
  list: ['LLEN', 'LRANGE'],
  set: ['SCARD', 'SMEMBERS', 'SSCAN'],
  zset: ['ZCARD', 'ZRANGE', 'ZSCAN'],
  stream: ['XLEN', 'XRANGE'],
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
  splits: async (_options, { deployment }) => {
    const { shards } = await deployment.refresh()
    return { count: shards.length, data: { shards: shards.map((shard) => shard.id) } satisfies KeysData }
  },
  async *read(options, { index, data }, context) {
    const shard = (data as KeysData).shards[index] as string
    const { deployment, namespace } = context.environment
    const before = slotsOf(deployment, shard)
    // The values of one batch are under way while the one in front is worked on.
    let ahead: Promise<ReadBatch> | undefined
    for await (const found of scanned(deployment, shard, options, `${namespace}:{`)) {
      for (let i = 0; i < found.length; i += keysTogether) {
        const next = batchOf(found.slice(i, i + keysTogether), options, context, shard)
        // Its rejection is seen when it is awaited; until then it is no unhandled one.
        next.catch(() => undefined)
        if (ahead !== undefined) yield await ahead
        ahead = next
      }
    }
    if (ahead !== undefined) yield await ahead
    await deployment.refresh()
    if (slotsOf(deployment, shard) !== before) {
      throw new GearmillError('EXECUTION_TOPOLOGY', `slots of shard ${shard} moved while its keys were read`)
    }
  },
})

function slotsOf({ topology }: Deployment, shard: string): string {
  return JSON.stringify(topology.shards.find(({ id }) => id === shard)?.slots)
}

/** New keys, a SCAN call at a time; the next call is under way while the keys of one are worked on. */
async function* scanned(
  deployment: Deployment,
  shard: string,
  { pattern, type }: KeysOptions,
  ownPrefix: string,
): AsyncGenerator<Buffer[]> {
  const own = Buffer.from(ownPrefix)
  const seen = new Set<string>()
  const scan = (cursor: Argument): Promise<Reply> =>
    deployment.onShard(
      shard,
      ['SCAN', cursor, 'MATCH', pattern, 'COUNT', scanCount, ...(type === undefined ? [] : ['TYPE', type])],
      { binary: true },
    )
  let pending: Promise<Reply> | undefined = scan('0')
  while (pending !== undefined) {
    const [cursor, found] = (await pending) as [Buffer, Buffer[]]
    pending = cursor.equals(zero) ? undefined : scan(cursor.toString())
    // Its rejection is seen when it is awaited; until then it is no unhandled one.
    pending?.catch(() => undefined)
    const fresh = found.filter((key) => {
      if (key.subarray(0, own.length).equals(own)) return false
      const name = key.toString('latin1')
      if (seen.has(name)) return false
      seen.add(name)
      return true
    })
    if (fresh.length > 0) yield fresh
  }
}

const zero = Buffer.from('0')

async function batchOf(
  found: readonly Buffer[],
  { type, values, binary }: KeysOptions,
  context: RunContext,
  shard: string,
): Promise<ReadBatch> {
  const records: unknown[] = []
  const places: string[] = []
  const put = (key: Buffer, make: (name: string | Uint8Array) => unknown): void => {
    const shown = key.toString()
    try {
      records.push(make(binary ? new Uint8Array(key) : textOfReply(key, 'a key')))
      places.push(shown)
    } catch (error) {
      context.fail(error, shown, shown)
    }
  }
  if (!values) {
    for (const key of found) put(key, (name) => name)
  } else {
    const read = await readValues(context.environment.deployment, shard, found, type, binary)
    for (const [i, key] of found.entries()) {
      const value = read[i]
      // Gone since it was scanned, or of a module's type.
      if (value === undefined) continue
      if (value.error === undefined) put(key, (name) => ({ key: name, type: value.type, value: value.value }))
      else context.fail(value.error, key.toString(), key.toString())
    }
  }
  return { batch: { kind: 'records', records }, place: (i) => places[i] as string }
}
