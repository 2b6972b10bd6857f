-- Puts the dead letters of a task's outbox into the hash of its execution, before the task is committed.
-- Keys: hash. Args: ttl ms, then fields and values. Returns 1. Work: the fields given.
local function letters(keys, args)
  for i = 2, #args, 2 do
    redis.call('HSET', keys[1], args[i], args[i + 1])
  end
  if redis.call('PTTL', keys[1]) < tonumber(args[1]) then
    redis.call('PEXPIRE', keys[1], args[1])
  end
  return 1
end

gearmill.register('letters', letters)
