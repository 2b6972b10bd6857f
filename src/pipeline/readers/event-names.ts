// What may happen to a key, as keyspace notifications name it; `gap` and `rescan` are Gearmill's own.

/** The names that an event may have. */
export const keyEventNames: ReadonlySet<string> = new Set([
  ...['set', 'append', 'setrange', 'incrby', 'incrbyfloat', 'setbit', 'pfadd', 'hset', 'hincrby'],
  ...['hincrbyfloat', 'hdel', 'lpush', 'rpush', 'lpop', 'rpop', 'linsert', 'lset', 'lrem', 'ltrim', 'sadd', 'srem'],
  ...['spop', 'sinterstore', 'sunionstore', 'sdiffstore', 'zadd', 'zincr', 'zrem', 'zremrangebyscore'],
  ...['zremrangebyrank', 'zremrangebylex', 'zpopmin', 'zpopmax', 'zunionstore', 'zinterstore', 'zdiffstore'],
  ...['zrangestore', 'geosearchstore', 'xadd', 'xdel', 'xtrim', 'xsetid', 'del', 'expire', 'persist', 'rename_from'],
  ...[
    'rename_to',
    'copy_to',
    'move_from',
    'move_to',
    'restore',
    'sortstore',
    'flushdb',
    'flushall',
    'expired',
    'evicted',
  ],
  ...['gap', 'rescan'],
])
