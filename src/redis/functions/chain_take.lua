-- Hands ready strands to a host, its share of them at most.
-- Keys: lane. Args: host, lease ms, room, hosts that there may be at least.
-- Returns { strands left in the queue, strand, value, ... }. Work: as many strands as asked for.
local function chain_take(keys, args)
  local lane, host = keys[1], args[1]
  local queue, hosts = lane .. ':chains:q', lane .. ':chains:hosts'
  local ready = redis.call('LLEN', queue)
  if ready == 0 then
    return { 0 }
  end
  local now = now_ms()
  redis.call('ZADD', hosts, now + args[2], host)
  local live = math.max(redis.call('ZCOUNT', hosts, now, '+inf'), tonumber(args[4]))
  local want = math.min(tonumber(args[3]), math.ceil(ready / live))
  local reply = { 0 }
  for _ = 1, want do
    local strand = redis.call('LPOP', queue)
    if not strand then
      break
    end
    local n, id = chain_of(strand)
    local chain = lane .. ':chain:' .. id
    local value = redis.call('HGET', chain, 's' .. n)
    local step, attempt, crashes, owner, phase, payload
    if value then
      step, attempt, crashes, owner, phase, payload = chain_parts(value)
    end
    -- A chain that expired; or a strand that was put here twice.
    if owner == '-' then
      value = table.concat({ step, attempt, crashes, host, phase, payload }, ' ')
      redis.call('HSET', chain, 's' .. n, value)
      redis.call('SADD', lane .. ':chains:h:' .. host, strand)
      reply[#reply + 1] = strand
      reply[#reply + 1] = value
    end
  end
  reply[1] = redis.call('LLEN', queue)
  return reply
end

gearmill.register('chain_take', chain_take)
