-- Lets a failed chain go on from the steps that failed; what waited when it was aborted waits on.
-- Keys: lane. Args: id.
-- Returns how many steps are tried again; -1 where there is no such chain, -2 where it is not failed. Work: the strands of a chain.
local function chain_resume(keys, args)
  local lane, id = keys[1], args[1]
  local chain = lane .. ':chain:' .. id
  local state = redis.call('HGET', chain, 'state')
  if state ~= 'failed' then
    return state and -2 or -1
  end
  redis.call('HSET', chain, 'state', 'running')
  local aborted = redis.call('HDEL', chain, 'aborted') == 1
  redis.call('HDEL', chain, 'error', 'ended')
  redis.call('PERSIST', chain)
  redis.call('PERSIST', chain .. ':t')
  redis.call('DEL', lane .. ':reply:' .. id)
  local fields, again = redis.call('HGETALL', chain), 0
  for i = 1, #fields, 2 do
    local n = string.match(fields[i], '^s(%d[%d_]*)$')
    if n then
      local step, attempt, _, owner, phase, payload = chain_parts(fields[i + 1])
      if owner == 'F' then
        -- The markers of writes that were frozen name the attempt: they are tried anew.
        attempt = phase == 'o' and attempt + 1 or 0
        redis.call('HSET', chain, fields[i], table.concat({ step, attempt, 0, '-', phase, payload }, ' '))
        local waits = redis.call('HMGET', chain, 'd' .. n, 'k' .. n)
        if waits[1] then
          redis.call('HDEL', chain, 'd' .. n)
          redis.call('ZADD', lane .. (waits[2] and ':chains:waits' or ':chains:due'), waits[1], n .. '.' .. id)
        else
          chain_queue(lane, n .. '.' .. id)
        end
        again = again + 1
      elseif aborted and phase == 'o' then
        -- Its writes are still being applied: then it goes on.
        again = again + 1
      end
    end
  end
  return again
end

gearmill.register('chain_resume', chain_resume)
