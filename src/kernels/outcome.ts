// From what a kernel said to the outcome of its step. What comes out of the sandbox is looked at as if anyone had written it.
import { GearmillError } from '../errors.ts'
import { parseCallString } from './call-string.ts'
import type { Call, Condition, Follow, KernelCommand, LogLine, Outcome, Value } from './step.ts'

const setCommand = (key: string, value: string): KernelCommand => ['SET', key, value]

/** @param said what createKernelApi().said() gave, or claims to have given. Throws KERNEL_RESULT. */
export function outcomeOf(said: unknown, log: readonly LogLine[]): Outcome {
  const [kind, ...parts] = listOf(said)
  if (kind === 'text') return fromText(textOf(parts[0]), log)
  if (kind === 'done') {
    return { writes: writesOf(parts[1]), follow: { kind, value: parts[0] as Value }, log }
  }
  const writes = writesOf(parts[2])
  const calls = listOf(parts[0]).map((each) => (typeof each === 'string' ? fromCall(each, writes) : callOf(each)))
  const join = parts[1] === null ? undefined : callOf(parts[1])
  return { writes, follow: kind === 'all' ? fanOut(calls, join) : { kind: 'next', call: first(calls) }, log }
}

const writesOf = (writes: unknown): KernelCommand[] => listOf(writes).map((command) => listOf(command).map(wordOf))

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
  if (call === undefined || calls.length > 1) throw odd()
  return call
}

function callOf(asked: unknown): Call {
  const [name, args, afterMs = 0, condition = '', awaited] = listOf(asked)
  if (typeof afterMs !== 'number' || !Number.isSafeInteger(afterMs) || afterMs < 0) throw odd()
  const call = { name: textOf(name), args: listOf(args) as readonly Value[], afterMs }
  return condition === '' ? call : { ...call, when: conditionOf(condition, textOf(awaited)) }
}

const conditionOf = (condition: unknown, awaited: string): Condition =>
  condition === 'event' ? { event: awaited } : { key: awaited }

const nonsense = (message: string): GearmillError => new GearmillError('KERNEL_RESULT', message)

const odd = (): GearmillError => nonsense('the kernel asked for a step in a form that there is not')

function textOf(value: unknown): string {
  if (typeof value !== 'string') throw odd()
  return value
}

function listOf(value: unknown): readonly unknown[] {
  if (!Array.isArray(value)) throw odd()
  return value
}

function wordOf(value: unknown): string | Uint8Array {
  return value instanceof Uint8Array ? value : textOf(value)
}
