-- Takes strands from a host that ended, or that gives them back, and puts them into the queue.
-- Keys: lane. Args: host, '1' where it is gone (all of its strands), then either strands that it gives back, or those that may
--       have ended it: '+' and a letter where one is known to be the reason ('-' where not; it runs alone then), and the strand.
-- Returns how many are left to free. Work: 200 strands.
local function chain_free(keys, args)
  local lane, host = keys[1], args[1]
  local held = lane .. ':chains:h:' .. host
  local gone = args[2] == '1'
  local suspects, strands = {}, {}
  for i = 3, #args do
    if gone then
      suspects[string.sub(args[i], 3)] = string.sub(args[i], 2, 2)
    else
      strands[#strands + 1] = args[i]
    end
  end
  if gone then
    for strand in pairs(suspects) do
      strands[#strands + 1] = strand
    end
    for _, strand in ipairs(redis.call('SRANDMEMBER', held, 200)) do
      strands[#strands + 1] = strand
    end
  end
  for _, strand in ipairs(strands) do
    local n, id = chain_of(strand)
    local chain = lane .. ':chain:' .. id
    local step, attempt, crashes, owner, phase, payload = chain_parts(redis.call('HGET', chain, 's' .. n) or '')
    if owner == host then
      local letter = suspects[strand]
      if letter then
        crashes = string.match(crashes, '%d+') + 1 .. (letter == '-' and '' or letter)
      end
      redis.call('HSET', chain, 's' .. n, table.concat({ step, attempt, crashes, '-', phase, payload }, ' '))
      chain_queue(lane, strand)
    end
    redis.call('SREM', held, strand)
  end
  local left = redis.call('SCARD', held)
  if gone and left == 0 then
    redis.call('ZREM', lane .. ':chains:hosts', host)
  end
  return left
end

gearmill.register('chain_free', chain_free)
