// toKeys(f): a key for each record, put in the place of what was there: text by SET, objects as hashes.
import type { Command } from '../../engine/runner.ts'
import { PlanError } from '../../errors.ts'
import type { Argument } from '../../redis/deployment.ts'
import { type Step, defineSink } from '../define.ts'
import { brief } from '../shown.ts'
import { propertiesOf, textOfValue } from './text.ts'

// One command may have 7,000 arguments.
const fieldsTogether = 1000

interface Entry {
  readonly key: string | Uint8Array
  readonly value: unknown
  readonly ttlMs: number | undefined
}

function entryOf(result: unknown): Entry {
  if (Array.isArray(result) && result.length === 2) return { key: keyOf(result[0]), value: result[1], ttlMs: undefined }
  if (typeof result !== 'object' || result === null || !('key' in result) || !('value' in result)) {
    throw refusal(`f to return { key, value, ttl? }, [key, value] or null, got ${brief(result)}`)
  }
  const { key, value, ttl } = result as { readonly key: unknown; readonly value: unknown; readonly ttl?: unknown }
  return { key: keyOf(key), value, ttlMs: ttlOf(ttl) }
}

function keyOf(key: unknown): string | Uint8Array {
  const text = textOfValue('toKeys', key)
  if (text.length === 0) throw refusal('a key that is not empty')
  return text
}

/** Seconds to milliseconds. */
function ttlOf(ttl: unknown): number | undefined {
  if (ttl === undefined || ttl === null) return undefined
  const ms = typeof ttl === 'number' ? Math.round(ttl * 1000) : NaN
  if (!Number.isSafeInteger(ms) || ms < 1) throw refusal(`ttl to be a number of seconds above 0, got ${brief(ttl)}`)
  return ms
}

function refusal(expected: string): PlanError {
  return new PlanError('PLAN_RECORD', `toKeys: expected ${expected}`)
}

function commandsOf({ key, value, ttlMs }: Entry): readonly Command[] {
  const plain = typeof value !== 'object' || value === null || value instanceof Uint8Array
  if (plain) {
    const text = textOfValue('toKeys', value)
    return [ttlMs === undefined ? ['SET', key, text] : ['SET', key, text, 'PX', ttlMs]]
  }
  const fields = propertiesOf(value)
  if (fields === undefined) throw refusal(`text, a number, bytes or an object as value, got ${brief(value)}`)
  const commands: Command[] = [['UNLINK', key]]
  for (let from = 0; from < fields.length; from += fieldsTogether) {
    const part = fields.slice(from, from + fieldsTogether)
    commands.push(['HSET', key, ...part.flatMap(([name, of]): Argument[] => [name, textOfValue('toKeys', of)])])
  }
  if (ttlMs !== undefined) commands.push(['PEXPIRE', key, ttlMs])
  return commands
}

export const toKeys = defineSink({
  name: 'toKeys',
  describe: () => 'toKeys(f)',
  commands: () => ['SET', 'UNLINK', 'HSET', 'PEXPIRE'],
  steps: (_options: unknown, functions: readonly unknown[]): Step[] => [
    { shape: 'map', call: functions[0] as Step['call'] },
  ],
  effects: (_options, result) => (result === null || result === undefined ? [] : commandsOf(entryOf(result))),
})
