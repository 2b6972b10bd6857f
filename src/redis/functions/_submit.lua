-- Stores an execution and lets its first tasks in. The program (x:p) and the code were written before.
-- Keys: x, task stream, delayed set, events, index, code ('' none).
-- Args: id, kind, group, ttl ms after its end, lease ms (0: remote), window, delay ms, timeout ms, max attempts,
--       memory MiB, max errors (-1: any), uploads, factor of the window, name/value pairs: stage table c<k> p<k> i<k>, stages,
--       by (where the number of what was written comes from), realm (JSON) and realmkey.
-- Returns 1; 0 where the execution exists already; -1 where its program or code expired before. Work: one window of tasks.
local function submit(keys, args)
  local x, tasks, delayed, events, index, code = keys[1], keys[2], keys[3], keys[4], keys[5], keys[6]
  if redis.call('EXISTS', x) == 1 then
    return 0
  end
  if redis.call('EXISTS', x .. ':p') == 0 or (code and redis.call('EXISTS', code) == 0) then
    return -1
  end
  local now = now_ms()
  local id, lease, delay = args[1], tonumber(args[5]), tonumber(args[7])
  redis.call('HSET', x, 'id', id, 'kind', args[2], 'group', args[3], 'ttl', args[4], 'lease', args[5], 'window', args[6], 'boost', args[13],
    'timeout', args[8], 'max', args[9], 'memory', args[10], 'maxerr', args[11], 'uploads', args[12], 'created', now,
    'index', index, 'tasks', tasks, 'code', code or '', 'epoch', 0, 'errors', 0, 'written', 0, 'retries', 0, 'state', 'running',
    'run', string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') or '')
  for i = 14, #args, 2 do
    redis.call('HSET', x, args[i], args[i + 1])
  end
  local realm = redis.call('HMGET', x, 'realm', 'realmkey')
  if realm[1] then
    gearmill.own_realm(realm[2], 'x.' .. id, lease, cjson.decode(realm[1]).memoryMb or 0)
  end
  redis.call('PERSIST', x .. ':p')
  if code then
    redis.call('SADD', code .. ':r', id)
    redis.call('PERSIST', code)
    redis.call('PERSIST', code .. ':r')
  end
  redis.call('ZREMRANGEBYSCORE', index, '-inf', '(' .. now)
  redis.call('ZADD', index, '+inf', id)
  open_stream(x, tasks)
  redis.call('HSET', x, 'stage', -1, 'next', 0, 'open', 0, 'left', 0)
  if delay > 0 then
    redis.call('HSET', x, 'state', 'waiting')
    redis.call('ZADD', delayed, now + delay, 'start:' .. id)
    redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'x', id, 'state', 'waiting', 'delay', delay)
  else
    advance(x, tasks, events)
  end
  if lease > 0 then
    for _, key in ipairs({ x, x .. ':p', tasks, delayed, events, index, code or x, (code or x) .. ':r' }) do
      redis.call('PEXPIRE', key, lease)
    end
  end
  return 1
end
