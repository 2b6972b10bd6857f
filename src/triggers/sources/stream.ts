// Entries of streams that others write.
import type { Reply } from '../../redis/deployment.ts'
import { textOf } from '../../redis/replies.ts'
import { isPattern } from '../../pipeline/readers/stream.ts'
import type { EventSource, StreamsOf } from './source.ts'

export function streamsOf(pattern: string): StreamsOf {
  return isPattern(pattern) ? { pattern } : { key: pattern }
}

export function streamSource(pattern: string, raw: boolean, binary: boolean): EventSource {
  return {
    streams: streamsOf(pattern),
    deletes: false,
    binary,
    open: (fields) => [fields],
    record: (key, id, event) => ({ key, id, value: (raw ? pairsOf : objectOf)(event as readonly Reply[]) }),
  }
}

/** Of a field that occurs twice the last value counts. */
function objectOf(fields: readonly Reply[]): Record<string, unknown> {
  const value: Record<string, unknown> = {}
  for (let i = 0; i + 1 < fields.length; i += 2) value[textOf(fields[i])] = fields[i + 1]
  return value
}

function pairsOf(fields: readonly Reply[]): [unknown, unknown][] {
  const pairs: [unknown, unknown][] = []
  for (let i = 0; i + 1 < fields.length; i += 2) pairs.push([fields[i], fields[i + 1]])
  return pairs
}
