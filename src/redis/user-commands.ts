// Which of node-redis' commands `mill.redis` has, and which argument of each is the (first) key.
import type { NamedCommands } from './commands.ts'

type KeyOf = (args: readonly unknown[]) => unknown

/** A key, or the first of several. */
function first(value: unknown): unknown {
  return Array.isArray(value) ? first(value[0]) : value
}

const atFirst: KeyOf = (args) => first(args[0])
const atSecond: KeyOf = (args) => first(args[1])
const none: KeyOf = () => undefined
/** `{ key, id }` or a list of them. */
const inStreams =
  (position: number): KeyOf =>
  (args) => {
    const stream = first(args[position])
    return typeof stream === 'object' && stream !== null && 'key' in stream ? stream.key : undefined
  }
/** The `keys` of an options object. */
const inOptions: KeyOf = (args) => {
  const options = args[1]
  return typeof options === 'object' && options !== null && 'keys' in options ? first(options.keys) : undefined
}
/** Keys with or without weights. */
const weighted: KeyOf = (args) => {
  const item = first(args[0])
  return typeof item === 'object' && item !== null && 'key' in item ? item.key : item
}

const names = {
  // keys
  copy: atFirst,
  del: atFirst,
  dump: atFirst,
  exists: atFirst,
  expire: atFirst,
  expireAt: atFirst,
  expireTime: atFirst,
  objectEncoding: atFirst,
  persist: atFirst,
  pExpire: atFirst,
  pExpireAt: atFirst,
  pExpireTime: atFirst,
  pTTL: atFirst,
  rename: atFirst,
  renameNX: atFirst,
  restore: atFirst,
  sort: atFirst,
  touch: atFirst,
  ttl: atFirst,
  type: atFirst,
  unlink: atFirst,
  // strings and counters
  append: atFirst,
  bitCount: atFirst,
  bitPos: atFirst,
  decr: atFirst,
  decrBy: atFirst,
  get: atFirst,
  getBit: atFirst,
  getDel: atFirst,
  getEx: atFirst,
  getRange: atFirst,
  getSet: atFirst,
  incr: atFirst,
  incrBy: atFirst,
  incrByFloat: atFirst,
  mGet: atFirst,
  mSet: atFirst,
  pSetEx: atFirst,
  set: atFirst,
  setBit: atFirst,
  setEx: atFirst,
  setNX: atFirst,
  setRange: atFirst,
  strLen: atFirst,
  // hashes
  hDel: atFirst,
  hExists: atFirst,
  hGet: atFirst,
  hGetAll: atFirst,
  hIncrBy: atFirst,
  hIncrByFloat: atFirst,
  hKeys: atFirst,
  hLen: atFirst,
  hmGet: atFirst,
  hRandField: atFirst,
  hScan: atFirst,
  hSet: atFirst,
  hSetNX: atFirst,
  hStrLen: atFirst,
  hVals: atFirst,
  // lists
  lIndex: atFirst,
  lInsert: atFirst,
  lLen: atFirst,
  lMove: atFirst,
  lPop: atFirst,
  lPopCount: atFirst,
  lPos: atFirst,
  lPush: atFirst,
  lPushX: atFirst,
  lRange: atFirst,
  lRem: atFirst,
  lSet: atFirst,
  lTrim: atFirst,
  rPop: atFirst,
  rPopCount: atFirst,
  rPush: atFirst,
  rPushX: atFirst,
  // sets
  sAdd: atFirst,
  sCard: atFirst,
  sDiff: atFirst,
  sDiffStore: atFirst,
  sInter: atFirst,
  sInterCard: atFirst,
  sInterStore: atFirst,
  sIsMember: atFirst,
  sMembers: atFirst,
  smIsMember: atFirst,
  sMove: atFirst,
  sPop: atFirst,
  sRandMember: atFirst,
  sRandMemberCount: atFirst,
  sRem: atFirst,
  sScan: atFirst,
  sUnion: atFirst,
  sUnionStore: atFirst,
  // sorted sets
  zAdd: atFirst,
  zCard: atFirst,
  zCount: atFirst,
  zDiff: atFirst,
  zDiffStore: atFirst,
  zIncrBy: atFirst,
  zInter: weighted,
  zInterStore: atFirst,
  zLexCount: atFirst,
  zmScore: atFirst,
  zPopMax: atFirst,
  zPopMaxCount: atFirst,
  zPopMin: atFirst,
  zPopMinCount: atFirst,
  zRandMember: atFirst,
  zRange: atFirst,
  zRangeByLex: atFirst,
  zRangeByScore: atFirst,
  zRangeStore: atFirst,
  zRangeWithScores: atFirst,
  zRank: atFirst,
  zRem: atFirst,
  zRemRangeByLex: atFirst,
  zRemRangeByRank: atFirst,
  zRemRangeByScore: atFirst,
  zRevRank: atFirst,
  zScan: atFirst,
  zScore: atFirst,
  zUnion: weighted,
  zUnionStore: atFirst,
  // streams
  xAck: atFirst,
  xAdd: atFirst,
  xAutoClaim: atFirst,
  xClaim: atFirst,
  xDel: atFirst,
  xGroupCreate: atFirst,
  xGroupDestroy: atFirst,
  xInfoGroups: atFirst,
  xInfoStream: atFirst,
  xLen: atFirst,
  xPending: atFirst,
  xPendingRange: atFirst,
  xRange: atFirst,
  xRead: inStreams(0),
  xReadGroup: inStreams(2),
  xRevRange: atFirst,
  xTrim: atFirst,
  // places and estimates
  geoAdd: atFirst,
  geoDist: atFirst,
  geoPos: atFirst,
  geoSearch: atFirst,
  geoSearchWith: atFirst,
  pfAdd: atFirst,
  pfCount: atFirst,
  pfMerge: atFirst,
  bitOp: atSecond,
  // scripts and the server
  eval: inOptions,
  fCall: inOptions,
  ping: none,
  publish: none,
  time: none,
} as const satisfies Partial<Record<keyof NamedCommands, KeyOf>>

export type UserCommandName = keyof typeof names
export const userCommands: Readonly<Record<UserCommandName, KeyOf>> = names
