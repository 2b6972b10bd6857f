// Entries of streams that others write. They are read as text, which is quicker by far; an entry in which that shows a
// character for bytes that are none is read again as bytes.
import type { Deployment, Reply } from '../../redis/deployment.ts'
import { itemsOf, textOf } from '../../redis/replies.ts'
import { textOfReply } from '../../pipeline/readers/decode.ts'
import { isPattern } from '../../pipeline/readers/stream.ts'
import type { EventSource, StreamsOf } from './source.ts'

const replacement = '\uFFFD'
const ordinary = { enumerable: true, writable: true, configurable: true }

export function streamsOf(pattern: string): StreamsOf {
  return isPattern(pattern) ? { pattern } : { key: pattern }
}

export function streamSource(pattern: string, raw: boolean, binary: boolean, deployment: Deployment): EventSource {
  const valueOf = raw ? pairsOf : objectOf
  return {
    streams: streamsOf(pattern),
    deletes: false,
    binary,
    record: (key, id, event) => ({ key, id, value: valueOf(event as readonly Reply[], binary) }),
    ...(binary ? {} : { reread: (key, id, fields) => asBytes(deployment, key, id, fields) }),
  }
}

/** The fields as bytes where their text may not be what they are; undefined: it is. */
function asBytes(
  deployment: Deployment,
  key: string,
  id: string,
  fields: readonly Reply[],
): Promise<readonly Reply[]> | undefined {
  for (const field of fields) if (typeof field === 'string' && field.includes(replacement)) return reread()
  return undefined

  async function reread(): Promise<readonly Reply[]> {
    const entries = itemsOf(await deployment.command(key, ['XRANGE', key, id, id], { binary: true }))
    // It may be gone: then its text is all there is.
    return entries.length === 0 ? fields : itemsOf(itemsOf(entries[0])[1])
  }
}

/** Of a field that occurs twice the last value counts. Throws PLAN_ENCODING. */
function objectOf(fields: readonly Reply[], binary: boolean): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (let i = 0; i + 1 < fields.length; i += 2) {
    const field = fields[i]
    const name = typeof field === 'string' ? field : nameOf(field)
    const part = partOf(fields[i + 1], binary)
    if (name === '__proto__') Object.defineProperty(value, name, { value: part, ...ordinary })
    else value[name] = part
  }
  return value
}

function pairsOf(fields: readonly Reply[], binary: boolean): [unknown, unknown][] {
  const pairs: [unknown, unknown][] = []
  for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([partOf(fields[i], binary), partOf(fields[i + 1], binary)])
  return pairs
}

function nameOf(name: Reply | undefined): string {
  return Buffer.isBuffer(name) ? textOfReply(name, 'the name of a field') : textOf(name)
}

function partOf(part: Reply | undefined, binary: boolean): unknown {
  return !binary && Buffer.isBuffer(part) ? textOfReply(part, 'a field') : part
}
