-- Queues strands whose key is there now.
-- Keys: lane. Args: strands.
-- Returns how many of them waited still. Work: the strands given.
local function chain_wake(keys, args)
  local lane, woken = keys[1], 0
  for _, strand in ipairs(args) do
    if redis.call('ZREM', lane .. ':chains:waits', strand) == 1 then
      local n, id = chain_of(strand)
      redis.call('HDEL', lane .. ':chain:' .. id, 'k' .. n)
      chain_queue(lane, strand)
      woken = woken + 1
    end
  end
  return woken
end

gearmill.register('chain_wake', chain_wake)
