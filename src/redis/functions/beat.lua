-- A worker's sign of life: keeps its task stream there, and adds up the executors of its group, from which the windows of executions follow.
-- Keys: live set, task stream, groups. Args: worker, executors, ttl ms, description (JSON), group, 1 where it runs scripts of anybody.
-- Returns the number of live executors. Work: the workers of one group.
local function beat(keys, args)
  local live, ttl = keys[1], tonumber(args[3])
  ensure_group(keys[2])
  if redis.call('XLEN', keys[2]) == 0 then
    -- An idle stream lives as long as its workers do.
    redis.call('PEXPIRE', keys[2], ttl)
  end
  local now = now_ms()
  redis.call('HSET', live .. ':info', args[1], args[4])
  redis.call('ZADD', live, now + ttl, args[1])
  for _, dead in ipairs(redis.call('ZRANGE', live, '-inf', '(' .. now, 'BYSCORE', 'LIMIT', 0, 100)) do
    redis.call('ZREM', live, dead)
    redis.call('HDEL', live .. ':info', dead)
  end
  redis.call('HSET', live .. ':n', args[1], args[2])
  local total = 0
  local counts = redis.call('HGETALL', live .. ':n')
  for i = 1, #counts, 2 do
    if redis.call('ZSCORE', live, counts[i]) then
      total = total + tonumber(counts[i + 1])
    else
      redis.call('HDEL', live .. ':n', counts[i])
    end
  end
  redis.call('SET', keys[2] .. ':n', total, 'PX', ttl)
  for _, suffix in ipairs({ '', ':info', ':n' }) do
    redis.call('PEXPIRE', live .. suffix, ttl)
  end
  for _, groups in ipairs({ keys[3], args[6] == '1' and keys[3] .. ':scripts' or nil }) do
    redis.call('ZADD', groups, 'GT', now + ttl, args[5])
    redis.call('ZREMRANGEBYSCORE', groups, '-inf', '(' .. now)
    redis.call('PEXPIRE', groups, math.max(ttl, redis.call('PTTL', groups)))
  end
  return total
end

-- A server without room must not lose sight of its workers.
gearmill.register('beat', beat, { 'allow-oom' })
