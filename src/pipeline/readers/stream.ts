// stream(key or pattern, options): the entries of streams, each stream a split, in the order of their ids.
import { PlanError } from '../../errors.ts'
import type { Deployment, Reply } from '../../redis/deployment.ts'
import { itemsOf, textOf } from '../../redis/replies.ts'
import { type ReadBatch, defineReader } from '../define.ts'
import { textOfReply } from './decode.ts'

export interface StreamReaderOptions {
  readonly pattern: string
  /** First and last id; `-` and `+` are the ends. */
  readonly from: string
  readonly to: string
  /** Pairs of field and value, duplicates included. */
  readonly raw: boolean
  readonly binary: boolean
}

const entriesTogether = 1000
const keysTogether = 1000

export const stream = defineReader({
  name: 'stream',
  describe: ({ pattern }: StreamReaderOptions) => `stream(${JSON.stringify(pattern)})`,
  commands: ({ pattern }) => (isPattern(pattern) ? ['SCAN TYPE stream', 'XRANGE'] : ['XRANGE']),
  splits: async ({ pattern }, { deployment, namespace }) => {
    const streams = isPattern(pattern) ? await scanned(deployment, pattern, `${namespace}:{`) : [pattern]
    return { count: Math.max(1, streams.length), data: { streams } }
  },
  async *read({ from, to, raw, binary }, { index, data }, context) {
    const key = (data as { readonly streams: readonly string[] }).streams[index]
    if (key === undefined) return
    const { deployment } = context.environment
    for (let start = from; ;) {
      const range = ['XRANGE', key, start, to, 'COUNT', entriesTogether]
      const entries = itemsOf(
        await deployment.command(key, range, { binary: true }).catch((error: unknown) => refused(key, error)),
      )
      const records: unknown[] = []
      const places: string[] = []
      for (const entry of entries) {
        const [id, fields] = itemsOf(entry)
        const place = `${key} ${textOf(id)}`
        try {
          records.push({ key, id: textOf(id), value: (raw ? pairsOf : objectOf)(itemsOf(fields), binary) })
          places.push(place)
        } catch (error) {
          context.fail(error, place, place)
        }
      }
      if (records.length > 0)
        yield { batch: { kind: 'records', records }, place: (i) => places[i] ?? key } satisfies ReadBatch
      if (entries.length < entriesTogether) return
      start = `(${textOf(itemsOf(entries.at(-1))[0])}`
    }
  },
})

function refused(key: string, error: unknown): never {
  if (String(error).includes('WRONGTYPE')) {
    throw new PlanError('PLAN_KEY_TYPE', `${JSON.stringify(key)} is no stream`, { cause: error })
  }
  throw error
}

/** Whether a key is a pattern, as KEYS and SCAN have it. */
export function isPattern(key: string): boolean {
  return /[*?[\\]/.test(key)
}

/** In the order of their names: a pattern that matches the same streams has the same splits. */
async function scanned(deployment: Deployment, pattern: string, own: string): Promise<string[]> {
  const { shards } = await deployment.refresh()
  const found = new Set<string>()
  for (const { id } of shards) {
    let cursor = '0'
    do {
      const scan = ['SCAN', cursor, 'MATCH', pattern, 'COUNT', keysTogether, 'TYPE', 'stream']
      const [next, keys] = itemsOf(await deployment.onShard(id, scan))
      cursor = textOf(next)
      for (const key of itemsOf(keys).map(textOf)) if (!key.startsWith(own)) found.add(key)
    } while (cursor !== '0')
  }
  return [...found].sort()
}

function valueOf(value: Reply | undefined, binary: boolean): string | Uint8Array {
  const bytes = value as Buffer
  return binary ? new Uint8Array(bytes) : textOfReply(bytes, 'a value')
}

/** Names of fields are property names, so text. */
function nameOf(field: Reply | undefined): string {
  return textOfReply(field as Buffer, 'the name of a field')
}

/** Of a field that occurs twice the last value counts. */
function objectOf(fields: readonly Reply[], binary: boolean): Record<string, string | Uint8Array> {
  return Object.fromEntries(pairsOf(fields, binary))
}

function pairsOf(fields: readonly Reply[], binary: boolean): (readonly [string, string | Uint8Array])[] {
  const pairs: (readonly [string, string | Uint8Array])[] = []
  for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([nameOf(fields[i]), valueOf(fields[i + 1], binary)])
  return pairs
}
