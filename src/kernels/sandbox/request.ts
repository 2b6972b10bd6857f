// One step on its way into the sandbox, as JSON: [now, seed, arguments, context or nothing]. In arguments bytes are
// `{ "$gm": "<one character a byte>" }`, and an object that has that key itself is `{ "$gm": { ... } }`.
import { GearmillError } from '../../errors.ts'
import type { Value } from '../step.ts'

export interface StepRequest {
  readonly nowMs: number
  /** 32 bits, for Math.random where it is granted. */
  readonly seed: number
  readonly args: readonly Value[]
  /** Left out where the kernel does not ask for it. */
  readonly context?: Readonly<Record<string, Value>>
}

const mark = '$gm'
const deepest = 200

/** Throws KERNEL_STACK for arguments that are nested too deeply. */
export function requestText({ nowMs, seed, args, context }: StepRequest): string {
  const packed = args.map((each) => pack(each, 0))
  return JSON.stringify(context === undefined ? [nowMs, seed, packed] : [nowMs, seed, packed, context])
}

function pack(value: Value, depth: number): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return { [mark]: Buffer.from(value).toString('latin1') }
  if (depth >= deepest) {
    throw new GearmillError('KERNEL_STACK', `an argument is nested more than ${deepest} deep`)
  }
  if (Array.isArray(value)) return (value as readonly Value[]).map((each) => pack(each, depth + 1))
  const packed: Record<string, unknown> = {}
  for (const [key, item] of Object.entries(value)) {
    const kept = pack(item, depth + 1)
    if (key !== '__proto__') packed[key] = kept
    else Object.defineProperty(packed, key, { value: kept, enumerable: true, writable: true, configurable: true })
  }
  return mark in packed ? { [mark]: packed } : packed
}
