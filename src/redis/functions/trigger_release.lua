-- Gives seats back, so that others take them at once.
-- Keys: seats, live workers, events. Args: worker, 1 where the worker leaves, then seat and fence of each.
-- Returns how many were given back. Work: the seats given.
local function trigger_release(keys, args)
  local released = 0
  for i = 3, #args, 2 do
    local holder, fence = string.match(redis.call('HGET', keys[1], args[i]) or '', '^(%S+) (%d+) ')
    if holder == args[1] and fence == args[i + 1] then
      redis.call('HDEL', keys[1], args[i])
      released = released + 1
    end
  end
  if args[2] == '1' then
    redis.call('ZREM', keys[2], args[1])
  end
  if released > 0 then
    redis.call('XADD', keys[3], 'MAXLEN', '~', 100, '*', 'n', '')
  end
  return released
end

gearmill.register('trigger_release', trigger_release)
