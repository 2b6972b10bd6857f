-- What time brings to the chains of a lane: renews the leases of hosts, frees the strands of those whose lease is over, queues
-- what is due, and hands out keys to look for.
-- Keys: lane. Args: lease ms, ms until a key that was handed out is looked for again, hosts of the caller that live.
-- Returns { strands in the queue, ms until the next is due (-1: none), strand, key, ... }. Work: 100 strands of each kind, 500 keys.
local function chain_tick(keys, args)
  local lane = keys[1]
  local hosts, due, waits = lane .. ':chains:hosts', lane .. ':chains:due', lane .. ':chains:waits'
  local now = now_ms()
  for i = 3, #args do
    redis.call('ZADD', hosts, now + args[1], args[i])
  end
  for _, host in ipairs(redis.call('ZRANGEBYSCORE', hosts, '-inf', '(' .. now, 'LIMIT', 0, 3)) do
    local held = lane .. ':chains:h:' .. host
    for _, strand in ipairs(redis.call('SRANDMEMBER', held, 100)) do
      local n, id = chain_of(strand)
      local chain = lane .. ':chain:' .. id
      local value = redis.call('HGET', chain, 's' .. n)
      if value then
        local step, attempt, crashes, owner, phase, payload = chain_parts(value)
        if owner == host then
          redis.call('HSET', chain, 's' .. n, table.concat({ step, attempt, crashes, '-', phase, payload }, ' '))
          chain_queue(lane, strand)
        end
      end
      redis.call('SREM', held, strand)
    end
    if redis.call('EXISTS', held) == 0 then
      redis.call('ZREM', hosts, host)
    end
  end
  for _, strand in ipairs(redis.call('ZRANGEBYSCORE', due, '-inf', now, 'LIMIT', 0, 100)) do
    redis.call('ZREM', due, strand)
    chain_queue(lane, strand)
  end
  local first = redis.call('ZRANGE', due, 0, 0, 'WITHSCORES')[2]
  local reply = { 0, first and math.max(0, tonumber(first) - now) or -1 }
  for _, strand in ipairs(redis.call('ZRANGEBYSCORE', waits, '-inf', now, 'LIMIT', 0, 500)) do
    local n, id = chain_of(strand)
    local key = redis.call('HGET', lane .. ':chain:' .. id, 'k' .. n)
    if key then
      redis.call('ZADD', waits, now + args[2], strand)
      reply[#reply + 1] = strand
      reply[#reply + 1] = key
    else
      redis.call('ZREM', waits, strand)
    end
  end
  reply[1] = redis.call('LLEN', lane .. ':chains:q')
  return reply
end

-- A server without room must not take leases away.
gearmill.register('chain_tick', chain_tick, { 'allow-oom' })
