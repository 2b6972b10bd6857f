// What a write command changes: keys, and the event that it is for each, named as Redis' keyspace notifications name it.
import type { KeyEventType } from '../../pipeline/readers/events.ts'

export interface Change {
  readonly key: Buffer
  readonly event: string
  /** 'unknown' where the command does not say. */
  readonly type: KeyEventType
  /** The whole new value, where the command carries it. */
  readonly value?: Buffer
  /** The database that the key is in, where it is another one than the connection's. */
  readonly database?: number
  /** When the key will expire, in milliseconds since the epoch; null: never. Undefined: as before. */
  readonly deadline?: number | null
}

type Rule = (args: readonly Buffer[]) => Change[]

const first =
  (event: string, type: KeyEventType, at = 1): Rule =>
  (args) => {
    const key = args[at]
    return key === undefined ? [] : [{ key, event, type }]
  }

const every =
  (event: string): Rule =>
  (args) =>
    args.slice(1).map((key) => ({ key, event, type: 'unknown', deadline: null }))

const two =
  (from: string, to: string, type: KeyEventType): Rule =>
  ([, source, target]) =>
    source === undefined || target === undefined
      ? []
      : [
          { key: source, event: from, type },
          { key: target, event: to, type },
        ]

const pairs: Rule = (args) => {
  const changes: Change[] = []
  for (let i = 1; i + 1 < args.length; i += 2) {
    changes.push({ key: args[i] as Buffer, event: 'set', type: 'string', value: args[i + 1] as Buffer, deadline: null })
  }
  return changes
}

const words = (args: readonly Buffer[], from: number): string[] =>
  args.slice(from).map((arg) => arg.toString('latin1').toLowerCase())

/** Expirations reach replicas as times, never as spans. */
const set: Rule = (args) => {
  const [, key, value] = args
  if (key === undefined || value === undefined) return []
  const options = words(args, 3)
  const at = options.indexOf('pxat')
  const deadline = at >= 0 ? Number(options[at + 1]) : options.includes('keepttl') ? undefined : null
  return [{ key, event: 'set', type: 'string', value, ...(deadline === undefined ? {} : { deadline }) }]
}

const expire: Rule = ([, key, at]) =>
  key === undefined ? [] : [{ key, event: 'expire', type: 'unknown', deadline: Number(at?.toString() ?? 0) }]

const getex: Rule = (args) => {
  const at = words(args, 2).indexOf('pxat')
  const [, key] = args
  if (key === undefined) return []
  return at < 0
    ? [{ key, event: 'persist', type: 'string', deadline: null }]
    : [{ key, event: 'expire', type: 'string', deadline: Number(args[at + 3]?.toString()) }]
}

const sort: Rule = (args) => {
  const at = words(args, 1).indexOf('store')
  const key = at < 0 ? undefined : args[at + 2]
  return key === undefined ? [] : [{ key, event: 'sortstore', type: 'list' }]
}

const copy: Rule = (args) => {
  const at = words(args, 3).indexOf('db')
  const database = at < 0 ? {} : { database: Number(args[at + 4]?.toString()) }
  return first('copy_to', 'unknown', 2)(args).map((change) => ({ ...change, ...database }))
}

const move: Rule = (args) => [
  ...first('move_from', 'unknown')(args),
  ...first('move_to', 'unknown')(args).map((change) => ({ ...change, database: Number(args[2]?.toString()) })),
]

const whole: Rule = (args) => [
  { key: Buffer.alloc(0), event: (args[0] as Buffer).toString('latin1').toLowerCase(), type: 'unknown' },
]

const listMove =
  (target: string): Rule =>
  (args) => {
    const side = words(args, 3)
    const left = (which: string | undefined): string => (which === 'left' ? 'l' : 'r')
    const [from, to] = target === 'lmove' ? [left(side[0]), left(side[1])] : ['r', 'l']
    return two(`${from}pop`, `${to}push`, 'list')(args)
  }

const rules: Readonly<Record<string, Rule>> = {
  set,
  setnx: (args) => pairs(args.slice(0, 3)),
  getset: (args) => pairs(args.slice(0, 3)),
  mset: pairs,
  msetnx: pairs,
  append: first('append', 'string'),
  setrange: first('setrange', 'string'),
  incr: first('incrby', 'string'),
  incrby: first('incrby', 'string'),
  decr: first('incrby', 'string'),
  decrby: first('incrby', 'string'),
  incrbyfloat: first('incrbyfloat', 'string'),
  setbit: first('setbit', 'string'),
  bitfield: first('setbit', 'string'),
  bitop: first('set', 'string', 2),
  pfadd: first('pfadd', 'string'),
  pfmerge: first('pfadd', 'string'),
  getdel: (args) => every('del')(args.slice(0, 2)),
  getex,
  hset: first('hset', 'hash'),
  hmset: first('hset', 'hash'),
  hsetnx: first('hset', 'hash'),
  hincrby: first('hincrby', 'hash'),
  hincrbyfloat: first('hincrbyfloat', 'hash'),
  hdel: first('hdel', 'hash'),
  lpush: first('lpush', 'list'),
  lpushx: first('lpush', 'list'),
  rpush: first('rpush', 'list'),
  rpushx: first('rpush', 'list'),
  lpop: first('lpop', 'list'),
  rpop: first('rpop', 'list'),
  linsert: first('linsert', 'list'),
  lset: first('lset', 'list'),
  lrem: first('lrem', 'list'),
  ltrim: first('ltrim', 'list'),
  lmove: listMove('lmove'),
  rpoplpush: listMove('rpoplpush'),
  sadd: first('sadd', 'set'),
  srem: first('srem', 'set'),
  spop: first('spop', 'set'),
  smove: two('srem', 'sadd', 'set'),
  sinterstore: first('sinterstore', 'set'),
  sunionstore: first('sunionstore', 'set'),
  sdiffstore: first('sdiffstore', 'set'),
  zadd: first('zadd', 'zset'),
  zincrby: first('zincr', 'zset'),
  zrem: first('zrem', 'zset'),
  zremrangebyscore: first('zremrangebyscore', 'zset'),
  zremrangebyrank: first('zremrangebyrank', 'zset'),
  zremrangebylex: first('zremrangebylex', 'zset'),
  zpopmin: first('zpopmin', 'zset'),
  zpopmax: first('zpopmax', 'zset'),
  zunionstore: first('zunionstore', 'zset'),
  zinterstore: first('zinterstore', 'zset'),
  zdiffstore: first('zdiffstore', 'zset'),
  zrangestore: first('zrangestore', 'zset'),
  geoadd: first('zadd', 'zset'),
  geosearchstore: first('geosearchstore', 'zset'),
  xadd: first('xadd', 'stream'),
  xdel: first('xdel', 'stream'),
  xtrim: first('xtrim', 'stream'),
  xsetid: first('xsetid', 'stream'),
  del: every('del'),
  unlink: every('del'),
  pexpireat: expire,
  persist: (args) => first('persist', 'unknown')(args).map((change) => ({ ...change, deadline: null })),
  rename: two('rename_from', 'rename_to', 'unknown'),
  renamenx: two('rename_from', 'rename_to', 'unknown'),
  copy,
  move,
  restore: first('restore', 'unknown'),
  sort,
  flushdb: whole,
  flushall: whole,
}

/** The changes of a command as a replica gets it; none of those that write no key. */
export function changesOf(command: readonly Buffer[]): Change[] {
  const name = command[0]?.toString('latin1').toLowerCase() ?? ''
  return Object.hasOwn(rules, name) ? (rules[name] as Rule)(command) : []
}
