-- Appends what a tap saw to a trigger's stream, together with how far the tap is: so nothing is lost or doubled when it dies.
-- Keys: stream, fences, positions. Args: field of the fence, fence, name of the primary, position ('' as before), then packed events.
-- Returns how many entries were added; -1 where a later holder has the seat. Work: the events given.
local function trigger_tap(keys, args)
  if redis.call('HGET', keys[2], args[1]) ~= args[2] then
    return -1
  end
  for i = 5, #args do
    redis.call('XADD', keys[1], '*', 'd', args[i])
  end
  if args[4] ~= '' then
    redis.call('HSET', keys[3], args[3], args[4])
  end
  return #args - 4
end

gearmill.register('trigger_tap', trigger_tap)
