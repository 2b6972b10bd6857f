// Inputs of a step: an argument `@key` is the value of that key, read just before the step; `@@text` is the text `@text`.
import { ConnectError } from '../../errors.ts'
import type { Deployment, Reply } from '../../redis/deployment.ts'
import { itemsOf, numberOf, pairsOf, textOf } from '../../redis/replies.ts'
import type { Value } from '../step.ts'
import { textOrBytes, type DecodedCall } from '../wire.ts'

const at = 0x40
/** Larger values are not what arguments are for. */
const mostBytes = 8 * 1024 * 1024
const mostElements = 100_000

export interface Inputs {
  readonly args: readonly Value[]
  /** Which of them are text from outside. */
  readonly raw: readonly number[]
}

/** An input that cannot be had. */
export class InputError extends Error {}

const noRaw: readonly number[] = []

/** Undefined where something has to be read first. */
export function plainInputs({ args, raw }: DecodedCall): Inputs | undefined {
  for (const arg of args) if (typeof arg === 'string' && arg.charCodeAt(0) === at) return undefined
  return { args, raw: raw ? args.map((_, i) => i) : noRaw }
}

export async function readInputs(
  { args, raw }: DecodedCall,
  deployment: Deployment,
  namespace: string,
): Promise<Inputs> {
  const outside: number[] = []
  const values = await Promise.all(
    args.map(async (arg, i) => {
      if (typeof arg !== 'string' || arg.charCodeAt(0) !== at || arg.length === 1) {
        if (raw) outside.push(i)
        return arg
      }
      if (arg.charCodeAt(1) === at) {
        if (raw) outside.push(i)
        return arg.slice(1)
      }
      const key = arg.slice(1).trim()
      if (key.startsWith(`${namespace}:`) && !key.startsWith(`${namespace}:event:`)) {
        throw new InputError(`the input @${key} is a key of Gearmill's own`)
      }
      const value = await valueOf(deployment, key).catch((error: unknown) => {
        if (!(error instanceof ConnectError) || error.retryable) throw error
        throw new InputError(`the input @${key} cannot be read: ${error.message}`)
      })
      if (typeof value === 'string' || value instanceof Uint8Array) outside.push(i)
      return value
    }),
  )
  return { args: values, raw: outside }
}

async function valueOf(deployment: Deployment, key: string): Promise<Value> {
  const ask = (...args: [string, ...(string | number)[]]): Promise<Reply> =>
    deployment.command(key, args, { binary: true })
  const limit = async (command: string, most: number): Promise<void> => {
    const size = numberOf(await ask(command, key))
    if (size > most) throw new InputError(`the input @${key} is too large: ${size}, of ${most} at most`)
  }
  const kind = textOf(await ask('TYPE', key))
  switch (kind) {
    case 'string': {
      await limit('STRLEN', mostBytes)
      const bytes = await ask('GET', key)
      if (Buffer.isBuffer(bytes)) return textOrBytes(bytes)
      break
    }
    case 'hash': {
      await limit('HLEN', mostElements)
      return Object.fromEntries(pairsOf(await ask('HGETALL', key)).map(([name, value]) => [textOf(name), read(value)]))
    }
    case 'list':
      await limit('LLEN', mostElements)
      return itemsOf(await ask('LRANGE', key, 0, -1)).map(read)
    case 'set':
      await limit('SCARD', mostElements)
      return itemsOf(await ask('SMEMBERS', key)).map(read)
    case 'zset': {
      await limit('ZCARD', mostElements)
      const reply = itemsOf(await ask('ZRANGE', key, 0, -1, 'WITHSCORES'))
      const pairs = Array.isArray(reply[0]) ? reply.map((pair) => itemsOf(pair)) : pairsOf([...reply])
      return pairs.map(([member, score]) => ({ member: read(member), score: numberOf(score) }))
    }
    case 'none':
      break
    default:
      throw new InputError(`the input @${key} is a ${kind}, which is no input`)
  }
  throw new InputError(`the input @${key} is missing: there is no such key`)
}

function read(reply: Reply | undefined): Value {
  return Buffer.isBuffer(reply) ? textOrBytes(reply) : textOf(reply)
}
