// Which commands may be effects, and which keys they touch. Asked of the server once per command name.
import { decodeNetstrings, encodeNetstrings } from '../codec/netstrings.ts'
import { RecordError } from '../errors.ts'
import type { Argument, Deployment } from '../redis/deployment.ts'
import { itemsOf, numberOf, textOf } from '../redis/replies.ts'
import type { Command } from './runner.ts'

interface CommandShape {
  readonly refusal?: string
  readonly firstKey: number
  readonly lastKey: number
  readonly step: number
  /** Finds the keys that stand where other arguments say. */
  readonly moving?: (command: Command) => Iterable<Argument | undefined>
}

// Unpacking arguments in the server's Lua fails at 8,000.
const mostArguments = 7000

// Commands with keys that reach beyond them, and say so in no flag.
const farReaching = new Set(['migrate', 'restore-asking'])

const forbidden: readonly [flag: string, why: string][] = [
  ['admin', 'it is administrative'],
  ['blocking', 'it blocks'],
  ['noscript', 'it cannot run inside of a function'],
  ['pubsub', 'it is a publish/subscribe command'],
]

export class EffectCatalogue {
  readonly #deployment: Deployment
  readonly #shapes = new Map<string, CommandShape>()

  constructor(deployment: Deployment) {
    this.#deployment = deployment
  }

  /** True where `slotOf` can answer without asking the server. */
  knows(command: Command): boolean {
    return this.#shapes.has(command[0])
  }

  async learn(command: Command): Promise<void> {
    const name = command[0]
    if (this.#shapes.has(name)) return
    const reply = itemsOf(await this.#deployment.command('', ['COMMAND', 'INFO', name]))[0]
    this.#shapes.set(name, shapeOf(name, itemsOf(reply)))
  }

  /** The slot of the command's keys (0 on a standalone server); throws EXECUTION_EFFECT_REFUSED. The command was learnt. */
  slotOf(command: Command): number {
    const shape = this.#shapes.get(command[0])
    if (shape === undefined) throw refusal(command, 'it is unknown')
    if (shape.refusal !== undefined) throw refusal(command, shape.refusal)
    if (command.length > mostArguments)
      throw refusal(command, `it has more than ${mostArguments} arguments; use several`)
    // The same on any deployment; the others are looked at where they decide about slots.
    if (command.length <= shape.firstKey) throw refusal(command, 'it names no key')
    if (!this.#deployment.topology.cluster) return 0
    let slot = -1
    for (const key of keysOf(command, shape)) {
      const of = this.#deployment.slotOf(key)
      if (slot >= 0 && of !== slot) throw refusal(command, 'its keys are of different slots; use one command a slot')
      slot = of
    }
    if (slot < 0) throw refusal(command, 'it names no key')
    return slot
  }

  /** The keys that a command names. It was learnt. */
  keysOf(command: Command): readonly (string | Uint8Array)[] {
    const shape = this.#shapes.get(command[0])
    return shape === undefined ? [] : [...keysOf(command, shape)]
  }
}

function* keysOf(command: Command, { firstKey, lastKey, step, moving }: CommandShape): Generator<string | Uint8Array> {
  const last = lastKey < 0 ? command.length + lastKey : lastKey
  for (let i = firstKey; i > 0 && i <= last && i < command.length; i += step) yield keyText(command[i] as Argument)
  for (const key of moving?.(command) ?? []) if (key !== undefined) yield keyText(key)
}

function wordOf(argument: Argument | undefined): string {
  return argument instanceof Uint8Array ? Buffer.from(argument).toString() : String(argument)
}

/** Behind STORE, as in SORT and GEORADIUS; `skips`: words with so many arguments that are none themselves. */
function storedAt(first: number, skips: ReadonlyMap<string, number>): CommandShape['moving'] {
  return function* (command) {
    for (let i = first; i < command.length; i++) {
      const word = wordOf(command[i]).toLowerCase()
      if (word === 'store' || word === 'storedist') yield command[++i]
      else i += skips.get(word) ?? 0
    }
  }
}

/** As many keys as an argument says, as in ZUNIONSTORE. */
function* counted(command: Command): Generator<Argument | undefined> {
  const count = Number(wordOf(command[2]))
  for (let i = 3; i < Math.min(3 + count, command.length); i++) yield command[i]
}

const sorted = new Map(Object.entries({ by: 1, get: 1, limit: 2 }))
const movingKeys = new Map(
  Object.entries({
    sort: storedAt(2, sorted),
    georadius: storedAt(5, new Map()),
    georadiusbymember: storedAt(5, new Map()),
    zunionstore: counted,
    zinterstore: counted,
    zdiffstore: counted,
  }),
)

function keyText(key: Argument): string | Uint8Array {
  return typeof key === 'number' ? String(key) : key
}

function shapeOf(name: string, info: ReturnType<typeof itemsOf>): CommandShape {
  const none = { firstKey: 0, lastKey: 0, step: 1 }
  if (info.length === 0) return { ...none, refusal: 'the server does not know it' }
  const flags = new Set(itemsOf(info[2]).map(textOf))
  const bad = forbidden.find(([flag]) => flags.has(flag))
  if (bad) return { ...none, refusal: bad[1] }
  if (farReaching.has(name.toLowerCase())) return { ...none, refusal: 'it reaches beyond its keys' }
  if (!flags.has('write')) return { ...none, refusal: 'it writes nothing' }
  const firstKey = numberOf(info[3])
  if (firstKey === 0) {
    const why = flags.has('movablekeys')
      ? 'its keys cannot be told from its arguments'
      : `${name} is not limited to keys`
    return { ...none, refusal: why }
  }
  const more = movingKeys.get(name.toLowerCase())
  const shape = { firstKey, lastKey: numberOf(info[4]), step: Math.max(1, numberOf(info[5])) }
  return more === undefined ? shape : { ...shape, moving: more }
}

function refusal(command: Command, why: string): RecordError {
  return new RecordError('EXECUTION_EFFECT_REFUSED', `${command[0]} cannot be an effect: ${why}`)
}

/** Appends a record's effects in the form that the server functions take. */
export function packEffects(into: Argument[], record: number, commands: readonly Command[]): void {
  into.push(record, commands.length)
  for (const command of commands) into.push(command.length, ...command)
}

/** Bytes that a command sends, roughly. */
export function sizeOf(command: Command): number {
  let size = 16
  for (const argument of command) size += (typeof argument === 'number' ? 8 : argument.length) + 8
  return size
}

/** A dead letter: why, and the commands that were not applied. Binary-safe: netstrings `length:bytes`. */
export interface Letter {
  readonly reason: string
  readonly commands: readonly (readonly Buffer[])[]
}

export function decodeLetter(bytes: Buffer): Letter {
  const parts = decodeNetstrings(bytes)
  const commands: Buffer[][] = []
  for (let i = 1; i < parts.length;) {
    const count = Number((parts[i] as Buffer).toString('latin1'))
    commands.push(parts.slice(i + 1, i + 1 + count))
    i += count + 1
  }
  return { reason: (parts[0] ?? Buffer.alloc(0)).toString(), commands }
}

export function encodeLetter(letter: Letter): Buffer {
  const commands = letter.commands.flatMap((command) => [Buffer.from(String(command.length)), ...command])
  return encodeNetstrings([Buffer.from(letter.reason), ...commands])
}
