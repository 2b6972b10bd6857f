-- Moves a trigger to another state, or only has its seats look for work.
-- Keys: trigger, events. Args: name, state ('' none: look for work), reason (JSON or '').
-- Returns 1; 0 where there is no such trigger. Work: constant.
local function trigger_state(keys, args)
  if redis.call('EXISTS', keys[1]) == 0 then
    return 0
  end
  if args[2] ~= '' and redis.call('HGET', keys[1], 'state') ~= 'removed' then
    redis.call('HSET', keys[1], 'state', args[2], 'reason', args[3])
  end
  redis.call('XADD', keys[2], 'MAXLEN', '~', 100, '*', 'n', args[1])
  return 1
end

gearmill.register('trigger_state', trigger_state)
