-- Moves a trigger to another state, or only has its seats look for work.
-- Keys: trigger, events. Args: name, state ('' none: look for work), reason (JSON or '').
-- Returns 1; 0 where there is no such trigger, or it is being removed. Work: constant.
local function trigger_state(keys, args)
  local there = redis.call('HMGET', keys[1], 'rev', 'state')
  if not there[1] or there[2] == 'removed' then
    return 0
  end
  if args[2] ~= '' then
    redis.call('HSET', keys[1], 'state', args[2], 'reason', args[3])
  end
  redis.call('XADD', keys[2], 'MAXLEN', '~', 100, '*', 'n', args[1])
  return 1
end

gearmill.register('trigger_state', trigger_state)
