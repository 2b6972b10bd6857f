-- Adds a tick of a schedule to its stream: each once, whoever asks.
-- Keys: trigger, stream, fences. Args: field of the fence, fence, time of the tick in milliseconds, ticks that were missed before it.
-- Returns 1; 0 where it was added before; -1 where a later holder has the seat. Work: constant.
local function trigger_tick(keys, args)
  if redis.call('HGET', keys[3], args[1]) ~= args[2] then
    return -1
  end
  local last = tonumber(redis.call('HGET', keys[1], 'tick') or '0')
  if last >= tonumber(args[3]) then
    return 0
  end
  redis.call('HSET', keys[1], 'tick', args[3])
  redis.call('XADD', keys[2], '*', 'at', args[3], 'missed', args[4])
  return 1
end

gearmill.register('trigger_tick', trigger_tick)
