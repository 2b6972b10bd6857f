-- The strands that a host holds and does not know of: a reply was lost, or the server went back in time.
-- Keys: lane. Args: host, strands that it knows.
-- Returns { strand, value, ... }. Work: the strands of a host.
local function chain_look(keys, args)
  local lane, host = keys[1], args[1]
  local held = lane .. ':chains:h:' .. host
  local reply, known = {}, {}
  for i = 2, #args do
    known[args[i]] = true
  end
  for _, strand in ipairs(redis.call('SMEMBERS', held)) do
    if not known[strand] then
      local n, id = chain_of(strand)
      local value = redis.call('HGET', lane .. ':chain:' .. id, 's' .. n)
      local _, _, _, owner = chain_parts(value or '')
      if owner == host then
        reply[#reply + 1] = strand
        reply[#reply + 1] = value
      else
        redis.call('SREM', held, strand)
      end
    end
  end
  return reply
end

gearmill.register('chain_look', chain_look)
