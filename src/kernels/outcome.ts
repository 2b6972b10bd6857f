// From what a kernel said to the outcome of its step. What comes out of the sandbox is looked at as if anyone had written it.
import { GearmillError } from '../errors.ts'
import { parseCallString } from './call-string.ts'
import type { Call, Condition, Follow, KernelCommand, LogLine, Outcome, Value } from './step.ts'

/** The two shapes in which values arrive: as they are, or as the sandbox packs them. */
export type Unpack = (value: unknown) => Value

const setCommand = (key: string, value: string): KernelCommand => ['SET', key, value]

/** @param said what createKernelApi().said() gave, or claims to have given. Throws KERNEL_RESULT. */
export function outcomeOf(said: unknown, log: readonly LogLine[], unpack: Unpack): Outcome {
  const kind = get(said, 'kind')
  if (kind === 'text') return fromText(textOf(get(said, 'text')), log)
  const writes = listOf(get(said, 'writes')).map((command) => listOf(command).map((each) => wordOf(unpack(each))))
  if (kind === 'done') return { writes, follow: { kind: 'done', value: unpack(get(said, 'value') ?? null) }, log }
  const calls = listOf(get(said, 'calls')).map((each) =>
    typeof each === 'string' ? fromCall(each, writes) : callOf(each, unpack),
  )
  const joined = get(said, 'join')
  const join = joined === undefined ? undefined : callOf(joined, unpack)
  return { writes, follow: kind === 'all' ? fanOut(calls, join) : { kind: 'next', call: first(calls) }, log }
}

function fromText(text: string, log: readonly LogLine[]): Outcome {
  const { call, sets } = parseCallString(text)
  const follow: Follow = call ? { kind: 'next', call: { ...call, afterMs: 0 } } : { kind: 'done', value: null }
  return { writes: sets.map(([key, value]) => setCommand(key, value)), follow, log }
}

function fromCall(text: string, writes: KernelCommand[]): Call {
  const { call, sets } = parseCallString(text)
  writes.push(...sets.map(([key, value]) => setCommand(key, value)))
  if (!call) throw nonsense('next.all() was given an empty text, which is no call')
  return { ...call, afterMs: 0 }
}

function fanOut(calls: readonly Call[], join: Call | undefined): Follow {
  if (calls.length > 0) return { kind: 'all', calls, ...(join && { join }) }
  return join ? { kind: 'next', call: { ...join, args: [[], ...join.args] } } : { kind: 'done', value: [] }
}

function first(calls: readonly Call[]): Call {
  const [call] = calls
  if (call === undefined || calls.length > 1)
    throw nonsense('the kernel asked for a step in a form that it does not have')
  return call
}

function callOf(asked: unknown, unpack: Unpack): Call {
  const afterMs = get(asked, 'afterMs')
  const when = get(asked, 'when')
  return {
    name: textOf(get(asked, 'name')),
    args: listOf(get(asked, 'args')).map((each) => unpack(each)),
    afterMs: typeof afterMs === 'number' && Number.isSafeInteger(afterMs) && afterMs >= 0 ? afterMs : 0,
    ...(when !== undefined && { when: conditionOf(when) }),
  }
}

function conditionOf(when: unknown): Condition {
  const key = get(when, 'key')
  return key === undefined ? { event: textOf(get(when, 'event')) } : { key: textOf(key) }
}

const nonsense = (message: string): GearmillError => new GearmillError('KERNEL_RESULT', message)

function get(object: unknown, name: string): unknown {
  return typeof object === 'object' && object !== null && Object.hasOwn(object, name)
    ? Reflect.get(object, name)
    : undefined
}

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw nonsense('the kernel asked for a step in a form that it does not have')
  return value
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw nonsense('the kernel asked for a step in a form that it does not have')
  return value
}

function wordOf(value: Value): string | Uint8Array {
  return value instanceof Uint8Array ? value : textOf(value)
}
