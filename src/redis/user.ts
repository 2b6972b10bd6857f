// `mill.redis`: the user's own commands, named and typed as node-redis has them, the same on a server and on a cluster.
import { PlanError } from '../errors.ts'
import { send, sendForColumns, type Client } from './client.ts'
import { namedCommands, type NamedCommands } from './commands.ts'
import { RedisDeployment } from './connect.ts'
import type { Deployment, Reply } from './deployment.ts'
import { JoinedGets } from './gets.ts'
import { BulkColumn, type Item } from './protocol/column.ts'
import { mayResend } from './resend.ts'
import { slotOf } from './slots.ts'
import { userCommands, type UserCommandName } from './user-commands.ts'
import type { Router, SendPolicy, Target } from './router.ts'

type Key = string | Buffer

/**
 * Commands of the same tick share a round trip; GETs among them share one MGET. Those that wait in the server (`BLPOP`, `XREAD` with
 * `BLOCK`, ...) have a connection of their own each, and delay nothing else. A cluster runs `del`, `unlink`, `exists`, `touch`, `mGet` and `mSet` over
 * any keys, slot by slot; other commands with several keys need keys of one slot. While the server restarts, commands that
 * were not sent wait for it; of those under way, reads are sent again and others reject with `CONNECT_LOST`. Buffers are
 * not copied: they must stay as they are until the command is answered.
 */
export interface UserRedis extends Pick<NamedCommands, UserCommandName> {
  /**
   * Any command, but those that change the connection, which is not the caller's alone (`SUBSCRIBE`, `SELECT`, `MULTI`, ...): they
   * reject with `PLAN_OPTION`. In a cluster it goes to the owner of its first key, or to the first shard if it has none.
   */
  sendCommand(args: readonly Key[]): Promise<Reply>
}

/** Hears of each command that is sent: its name, and the keys that it begins with. */
export type Watch = (command: string, keys: readonly string[]) => void

/** The user's commands on a deployment; closed with it. */
export function userRedis(deployment: Deployment, watch?: Watch): UserRedis {
  if (!(deployment instanceof RedisDeployment)) {
    throw new PlanError('PLAN_OPTION', 'expected a deployment made by connectDeployment()')
  }
  const commands = new UserCommands(deployment, watch)
  const methods: Record<string, unknown> = {}
  for (const [name, keyOf] of Object.entries(userCommands)) {
    methods[name] = (...args: readonly unknown[]) => commands.run(name, keyOf(args), args)
  }
  methods.get = (key: Key) => commands.get(key)
  methods.del = (keys: Key | Key[]) => commands.sum('del', keys)
  methods.unlink = (keys: Key | Key[]) => commands.sum('unlink', keys)
  methods.exists = (keys: Key | Key[]) => commands.sum('exists', keys)
  methods.touch = (keys: Key | Key[]) => commands.sum('touch', keys)
  methods.mGet = (keys: Key[]) => commands.mGet(keys)
  methods.mSet = (pairs: MSetPairs) => commands.mSet(pairs)
  methods.sendCommand = (args: readonly Key[]) => commands.sendCommand(args)
  // One method per name of the table is there; what each returns is what the client's method of that name does.
  return Object.freeze(methods) as unknown as UserRedis
}

type MSetPairs = readonly (readonly [Key, Key])[] | readonly Key[] | Readonly<Record<string, Key>>
type Methods = Readonly<Record<string, ((...args: readonly unknown[]) => Promise<unknown>) | undefined>>

class UserCommands {
  readonly #deployment: RedisDeployment
  readonly #router: Router
  /** Of sendCommand: where a command has its first key; 0: nowhere; -1: the server must be asked each time. */
  readonly #firstKeys = new Map<string, Promise<number>>()
  readonly #gets: JoinedGets
  readonly #watch: Watch | undefined

  constructor(deployment: RedisDeployment, watch: Watch | undefined) {
    this.#watch = watch
    this.#deployment = deployment
    this.#router = deployment.router
    this.#gets = new JoinedGets({
      get: (key) => this.#router.run(this.#target(key), (client) => send(client, ['GET', key]), policyOf('get')),
      mGet: (keys) => this.#router.run(this.#target(keys[0]), (client) => textsOf(client, keys), policyOf('mGet')),
    })
  }

  /** In a cluster keys of different slots cannot share a command. */
  get(key: Key): Promise<unknown> {
    if (this.#deployment.topology.cluster || !isKey(key)) return this.run('get', key, [key])
    return this.#gets.get(key)
  }

  run(name: string, key: unknown, args: readonly unknown[]): Promise<unknown> {
    this.#gets.flush()
    return this.#send(name, key, args)
  }

  #send(name: string, key: unknown, args: readonly unknown[]): Promise<unknown> {
    this.#watch?.(name, keysOf(args[0]))
    if (name.startsWith('xRead') && args.some(isBlocking)) {
      return this.#deployment.alone(isKey(key) ? key : '', (client) => invoke(client, name, args))
    }
    return this.#router.run(this.#target(key), (client) => invoke(client, name, args), policyOf(name))
  }

  async sum(name: string, keys: Key | readonly Key[]): Promise<number> {
    const counts = await Promise.all(
      this.#bySlot(asArray(keys)).map((group) => this.run(name, group.keys[0], [group.keys])),
    )
    return counts.reduce<number>((total, count) => total + Number(count), 0)
  }

  async mGet(keys: readonly Key[]): Promise<unknown[]> {
    if (!Array.isArray(keys)) throw new PlanError('PLAN_OPTION', `mGet: expected a list of keys, got ${typeof keys}`)
    const values: unknown[] = Array.from({ length: keys.length })
    await Promise.all(
      this.#bySlot(keys).map(async (group) => {
        const part = await this.run('mGet', group.keys[0], [group.keys])
        if (Array.isArray(part)) for (const [i, at] of group.positions.entries()) values[at] = part[i]
      }),
    )
    return values
  }

  async mSet(input: MSetPairs): Promise<unknown> {
    const pairs = pairsOf(input)
    const groups = this.#bySlot(pairs.map(([key]) => key))
    const replies = await Promise.all(
      groups.map((group) => this.run('mSet', group.keys[0], [group.positions.map((at) => pairs[at])])),
    )
    return replies[0] ?? 'OK'
  }

  async sendCommand(args: readonly Key[]): Promise<Reply> {
    if (!Array.isArray(args)) {
      throw new PlanError(
        'PLAN_OPTION',
        `sendCommand: expected a list, of the command's name and arguments, got ${typeof args}`,
      )
    }
    refuseOwnConnection(args)
    this.#gets.flush()
    this.#watch?.(String(args[0]), keysOf(args[1]))
    const key = this.#deployment.topology.cluster ? await this.#firstKeyIn(args) : undefined
    if (waits(args)) return this.#deployment.alone(isKey(key) ? key : '', (client) => send(client, [...args]))
    return this.#router.run(this.#target(key), (client) => send(client, [...args]), policyOf(String(args[0])))
  }

  /** Without a cluster there is one group, and no slot is computed. */
  #bySlot(keys: readonly Key[]): { readonly keys: Key[]; readonly positions: number[] }[] {
    const groups = new Map<number, { keys: Key[]; positions: number[] }>()
    for (const [at, key] of keys.entries()) {
      const slot = this.#deployment.topology.cluster ? slotOf(key) : 0
      let group = groups.get(slot)
      if (group === undefined) groups.set(slot, (group = { keys: [], positions: [] }))
      group.keys.push(key)
      group.positions.push(at)
    }
    return [...groups.values()]
  }

  #target(key: unknown): Target {
    if (!this.#deployment.topology.cluster) return { slot: 0 }
    if (isKey(key)) return { slot: slotOf(key) }
    return { shard: this.#deployment.topology.shards[0]?.id ?? '' }
  }

  async #firstKeyIn(args: readonly Key[]): Promise<unknown> {
    const name = String(args[0]).toUpperCase()
    let position = this.#firstKeys.get(name)
    if (position === undefined) {
      position = this.#firstKeyOf(name)
      this.#firstKeys.set(name, position)
      position.catch(() => this.#firstKeys.delete(name))
    }
    const first = await position
    if (first > 0) return args[first]
    if (first === 0) return undefined
    const keys = await this.#ask(['COMMAND', 'GETKEYS', ...args])
    return Array.isArray(keys) ? keys[0] : undefined
  }

  async #firstKeyOf(name: string): Promise<number> {
    const reply = await this.#ask(['COMMAND', 'INFO', name])
    const info = Array.isArray(reply) ? reply[0] : null
    if (!Array.isArray(info)) return 0
    const [, , flags, first, , , , , , subcommands] = info
    if (Array.isArray(flags) && flags.includes('movablekeys')) return -1
    // Where a command has no key itself, its subcommands (XINFO STREAM key) have theirs in one place, or none.
    const nested = Array.isArray(subcommands) ? subcommands.map((sub) => (Array.isArray(sub) ? Number(sub[3]) : 0)) : []
    return Math.max(Number(first), 0, ...nested)
  }

  #ask(args: readonly Key[]): Promise<Reply> {
    return this.#router.run(this.#target(undefined), (client) => send(client, [...args]), { resend: true })
  }
}

/**
 * After these, replies would come that belong to no command, other commands would find another database or user, or would be
 * queued for a transaction that is not theirs.
 */
const ofConnections = new Set(
  (
    'SUBSCRIBE PSUBSCRIBE SSUBSCRIBE UNSUBSCRIBE PUNSUBSCRIBE SUNSUBSCRIBE MONITOR SYNC PSYNC HELLO RESET SELECT AUTH QUIT ' +
    'MULTI EXEC DISCARD WATCH UNWATCH ASKING READONLY READWRITE'
  ).split(' '),
)
const ofClients = new Set(['REPLY', 'TRACKING', 'CACHING'])

function refuseOwnConnection(args: readonly Key[]): void {
  const [name = '', subcommand = ''] = args.slice(0, 2).map((arg) => String(arg).toUpperCase())
  if (!ofConnections.has(name) && !(name === 'CLIENT' && ofClients.has(subcommand))) return
  throw new PlanError('PLAN_OPTION', `${name} changes the connection, which other commands share`, {
    hint: 'Send it over a connection of your own.',
  })
}

const waiting = new Set('BLPOP BRPOP BRPOPLPUSH BLMOVE BLMPOP BZPOPMIN BZPOPMAX BZMPOP'.split(' '))

/** Whether the server may let a command wait: what is sent after it over the same connection would wait, too. */
function waits(args: readonly Key[]): boolean {
  const name = String(args[0]).toUpperCase()
  if (name !== 'XREAD' && name !== 'XREADGROUP') return waiting.has(name)
  const options = args.map((arg) => String(arg).toUpperCase())
  return options.slice(0, options.indexOf('STREAMS')).includes('BLOCK')
}

/** Options of xRead and xReadGroup. */
function isBlocking(argument: unknown): boolean {
  return typeof argument === 'object' && argument !== null && 'BLOCK' in argument && argument.BLOCK !== undefined
}

function isKey(key: unknown): key is Key {
  return typeof key === 'string' || Buffer.isBuffer(key)
}

/** A key, keys, or pairs of keys and values. */
function keysOf(argument: unknown): string[] {
  if (isKey(argument)) return [argument.toString()]
  if (!Array.isArray(argument)) return []
  return argument.flatMap((item: unknown) => keysOf(Array.isArray(item) ? item[0] : item))
}

function invoke(client: Client, name: string, args: readonly unknown[]): Promise<unknown> {
  const commands = namedCommands(client)
  const method = (commands as unknown as Methods)[name]
  if (method === undefined) throw new PlanError('PLAN_OPTION', `the client has no command ${name}`)
  return method.apply(commands, [...args])
}

/** MGET without a reply object for each value. */
async function textsOf(client: Client, keys: readonly Key[]): Promise<unknown> {
  const reply = await sendForColumns(client, ['MGET', ...keys])
  return reply instanceof BulkColumn ? textsIn(reply.items()) : reply
}

function textsIn(items: Item[]): Item[] {
  for (let i = 0; i < items.length; i++) {
    const item = items[i]
    if (typeof item === 'object' && item !== null) items[i] = item.toString()
  }
  return items
}

function policyOf(name: string): SendPolicy {
  return { resend: mayResend(name) }
}

function asArray(keys: Key | readonly Key[]): readonly Key[] {
  return typeof keys === 'string' || Buffer.isBuffer(keys) ? [keys] : keys
}

function pairsOf(input: MSetPairs): readonly (readonly [Key, Key])[] {
  if (!Array.isArray(input)) return Object.entries(input)
  const list: readonly (Key | readonly [Key, Key])[] = input
  const pairs: (readonly [Key, Key])[] = []
  for (let i = 0; i < list.length; i++) {
    const item = list[i]
    if (item === undefined) continue
    if (typeof item !== 'string' && !Buffer.isBuffer(item)) pairs.push(item)
    else {
      const value = list[++i]
      if (typeof value === 'string' || Buffer.isBuffer(value)) pairs.push([item, value])
    }
  }
  return pairs
}
