-- Ends an outbox of a trigger whose chunks are all applied.
-- Keys: outboxes, dead letters, counters. Args: name of the outbox, events that are done with
-- it, then field and letter of each record that failed.
-- Returns 1; 0 where it was ended before. Work: the letters given.
local function trigger_settle(keys, args)
  if redis.call('HDEL', keys[1], args[1]) == 0 then
    return 0
  end
  redis.call('HINCRBY', keys[3], 'successes', args[2])
  for i = 3, #args, 2 do
    redis.call('HSET', keys[2], args[i], 'E1 ' .. now_ms() .. ' ' .. args[i + 1])
    redis.call('HINCRBY', keys[3], 'failures', 1)
    redis.call('HINCRBY', keys[3], 'successes', -1)
  end
  return 1
end

gearmill.register('trigger_settle', trigger_settle)
