// What is stored of chains, as bytes: calls, last values, commits, traces.
import { Packr, Unpackr } from 'msgpackr/pack'
import { decodeNetstrings } from '../codec/netstrings.ts'
import type { FailureCause } from '../engine/runner.ts'
import type { Argument } from '../redis/deployment.ts'
import { packForServer, unpackFromServer, type Packable, type Unpacked } from './server-pack.ts'
import type { Call, KernelCommand, LogLine, Value } from './step.ts'

// Of any number of keys.
const packr = new Packr({ useRecords: false, moreTypes: false, variableMapSize: true })
const oddKey = Buffer.from('__proto__')
const asMaps = new Unpackr({ useRecords: false, moreTypes: false, mapsAsObjects: false })

export function packValue(value: unknown): Buffer {
  return packr.pack(value)
}

export function unpackValue(bytes: Buffer): unknown {
  // MessagePack's reader gives such a key another name.
  return bytes.includes(oddKey) ? objectsOf(asMaps.unpack(bytes)) : packr.unpack(bytes)
}

/** Maps as objects, whatever their keys are called. */
function objectsOf(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(objectsOf)
  if (!(value instanceof Map)) return value
  return Object.fromEntries([...(value as Map<string, unknown>)].map(([key, item]) => [key, objectsOf(item)]))
}

/** What the server calls a strand: its place in the chain, and the chain. */
export interface StrandName {
  /** '0', or '0_2' for the third branch of its fan-out. */
  readonly branch: string
  readonly chain: string
}

export function nameOfStrand({ branch, chain }: StrandName): string {
  return `${branch}.${chain}`
}

export function strandOf(name: string): StrandName {
  const dot = name.indexOf('.')
  return { branch: name.slice(0, dot), chain: name.slice(dot + 1) }
}

/** A strand's value in the server: see _kernels.lua. */
export interface StrandState {
  readonly step: number
  readonly attempt: number
  /** How often a host ended while it ran, and a letter where it is known to be the reason. */
  readonly crashes: string
  readonly owner: string
  readonly phase: 'r' | 'o'
  readonly payload: Buffer
}

export function decodeStrand(value: Buffer): StrandState {
  let at = 0
  const token = (): string => {
    const end = value.indexOf(0x20, at)
    const text = value.toString('latin1', at, end)
    at = end + 1
    return text
  }
  const [step, attempt, crashes, owner, phase] = [token(), token(), token(), token(), token()]
  return {
    step: Number(step),
    attempt: Number(attempt),
    crashes,
    owner,
    phase: phase === 'o' ? 'o' : 'r',
    payload: value.subarray(at),
  }
}

export type Fence = Pick<StrandState, 'step' | 'attempt' | 'crashes' | 'owner' | 'phase'>

/** What a commit names the state by that it is of. */
export function fenceOf({ step, attempt, crashes, owner, phase }: Fence): string {
  return `${step} ${attempt} ${crashes} ${owner} ${phase} `
}

/** The value of a strand that is to run a call. */
export function readyValue(step: number, attempt: number, owner: string, call: Uint8Array): Buffer {
  return Buffer.concat([Buffer.from(`${step} ${attempt} 0 ${owner} r `, 'latin1'), call])
}

/** A call as it is stored: 'V' and MessagePack. Those of other clients, and of joins, are made by the server functions. */
export function encodeCall(name: string, args: readonly Value[]): Buffer {
  const packed = packr.pack([name, args])
  const bytes = Buffer.allocUnsafe(packed.length + 1)
  bytes[0] = 0x56
  packed.copy(bytes, 1)
  return bytes
}

export interface DecodedCall {
  readonly name: string
  readonly args: readonly Value[]
  /** The arguments are text from another client. */
  readonly raw: boolean
}

/** The name of the call that ends a fan-out without a join: the list of values is the value. */
export const noJoin = ''

export function decodeCall(payload: Buffer): DecodedCall {
  const kind = payload[0]
  const body = payload.subarray(1)
  if (kind === 0x56) {
    const [name, args] = unpackValue(body) as [string, Value[]]
    return { name, args, raw: false }
  }
  const parts = decodeNetstrings(body)
  if (kind === 0x53) {
    const [name = '', ...args] = parts.map(textOrBytes)
    return { name: String(name), args, raw: true }
  }
  const [join = Buffer.alloc(0), ...results] = parts
  const { name, args } = decodeCall(join)
  return { name, args: [results.map((bytes) => unpackValue(bytes) as Value), ...args], raw: false }
}

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true })

/** Text where it is text. */
export function textOrBytes(bytes: Buffer): string | Uint8Array {
  try {
    return utf8.decode(bytes)
  } catch {
    return bytes
  }
}

/** What follows a step, as chain_commit.lua takes it. */
export type Transition =
  | readonly ['n' | 'q', Buffer]
  | readonly ['w', Buffer, number, string | false]
  | readonly ['d', Buffer, string]
  | readonly ['j', Buffer]
  | readonly ['a', Buffer, ...(readonly (readonly [Buffer, boolean, number, string | false])[])]
  | readonly ['f', string, string]
  | readonly ['o', Buffer, number | false]

export interface Entry {
  readonly strand: StrandName
  readonly fence: Fence
  readonly trace: Buffer | false
  readonly commands: readonly KernelCommand[]
  readonly transition: Transition
}

export function encodeEntry({ strand, fence, trace, commands, transition }: Entry): Buffer {
  const { chain, branch } = strand
  const writes = commands.length === 0 ? false : commands
  return packForServer([chain, branch, fenceOf(fence), trace, writes, ...packable(transition)])
}

/** Truth is a number there. */
function packable(transition: Transition): readonly Packable[] {
  if (transition[0] !== 'a') return transition
  const [kind, join, ...branches] = transition
  return [kind, join, ...branches.map(([value, here, delay, key]) => [value, here ? 1 : false, delay, key] as const)]
}

/** A commit whose writes are yet to be applied, and how many of them are: the payload of phase 'o'. */
export function decodeFrozen(payload: Buffer): Pick<Entry, 'trace' | 'commands' | 'transition'> & { applied: number } {
  const space = payload.indexOf(0x20)
  const applied = Number(payload.toString('latin1', 0, space))
  const [, , , trace, commands, ...transition] = unpackFromServer(payload.subarray(space + 1)) as FrozenEntry
  return { applied, trace, commands: commands === false ? [] : commands, transition: transitionOf(transition) }
}

type FrozenEntry = readonly [
  ...[Buffer, Buffer, Buffer, Buffer | false, readonly (readonly Buffer[])[] | false, Buffer],
  ...Unpacked[],
]

function transitionOf([kind, ...rest]: readonly Unpacked[]): Transition {
  const [a, b, c] = rest as readonly Buffer[]
  switch (textOf(kind as Buffer)) {
    case 'w':
      return ['w', a as Buffer, Number(b), c === undefined || !Buffer.isBuffer(c) ? false : c.toString()]
    case 'd':
      return ['d', a as Buffer, String(b)]
    case 'j':
      return ['j', a as Buffer]
    case 'a': {
      const branches = rest.slice(1) as unknown as readonly (readonly [
        Buffer,
        number | false,
        number,
        Buffer | false,
      ])[]
      const read = ([value, here, delay, key]: (typeof branches)[number]) =>
        [value, here !== false, delay, key === false ? false : key.toString()] as const
      return ['a', a as Buffer, ...branches.map(read)]
    }
    case 'q':
      return ['q', a as Buffer]
    default:
      return ['n', a as Buffer]
  }
}

/** Why a step failed, as it is stored and as other clients read it. */
export interface StepFailure {
  readonly code: string
  readonly message: string
  readonly chain: string
  readonly kernel: string
  readonly version: string
  readonly step: number
  readonly line?: number
  /** The imported source in which it happened, where it was not the kernel's own. */
  readonly module?: string
  readonly hint?: string
  /** What the step had logged until then. */
  readonly log?: readonly LogLine[]
  readonly cause?: FailureCause
}

/** One entry of a trace, as it is stored. */
export type TraceRow = readonly [
  branch: string,
  step: number,
  attempt: number,
  kernel: string,
  version: string,
  startedMs: number,
  tookMs: number,
  executor: string,
  inputs: readonly Value[],
  writes: readonly (readonly string[])[],
  log: readonly (readonly [LogLine['level'], string])[],
  follow: string,
  failure: StepFailure | null,
]

const longestText = 256
const mostWrites = 100
const mostLines = 200

export function encodeTrace(row: TraceRow): Buffer {
  return packr.pack(row)
}

/** Inputs as the trace shows them: what is long is cut. */
export function shownValues(values: readonly Value[]): readonly Value[] {
  return values.map((value) => shown(value))
}

function cut(text: string): string {
  return text.length > longestText ? `${text.slice(0, longestText)}...` : text
}

function shown(value: Value): Value {
  if (typeof value === 'string') return cut(value)
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) {
    return value.length > longestText ? `${value.length} bytes` : value
  }
  const text = JSON.stringify(value) ?? ''
  return text.length > 4 * longestText ? `${text.slice(0, 4 * longestText)}...` : value
}

export function shownWrites(commands: readonly KernelCommand[]): string[][] {
  if (commands.length === 0) return []
  return commands.slice(0, mostWrites).map((command) => command.map((part) => cut(textOf(part))))
}

export function shownLog(log: readonly LogLine[]): (readonly [LogLine['level'], string])[] {
  if (log.length === 0) return []
  return log.slice(-mostLines).map(({ level, text }) => [level, cut(text)] as const)
}

export function shownFollow(calls: readonly Call[], join: Call | undefined): string {
  const names = calls.map(({ name }) => name)
  const text = names.length > 5 ? `${names.slice(0, 5).join(', ')}, ... (${names.length})` : names.join(', ')
  return join === undefined ? text : `${text} -> ${join.name}`
}

function textOf(part: string | Uint8Array): string {
  return typeof part === 'string' ? part : Buffer.from(part).toString()
}

/** As a command's arguments are sent. */
export function argumentsOf(command: KernelCommand): [string, ...Argument[]] {
  const [name, ...rest] = command
  return [name === undefined ? '' : textOf(name), ...rest]
}

/** JSON for other clients: bytes as base64. */
export function jsonOf(value: Value): string {
  return JSON.stringify({ ok: textual(value) })
}

function textual(value: Value): unknown {
  if (typeof value !== 'object' || value === null) return value
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64')
  if (Array.isArray(value)) return value.map((item: Value) => textual(item))
  return Object.fromEntries(Object.entries(value as Record<string, Value>).map(([name, item]) => [name, textual(item)]))
}
