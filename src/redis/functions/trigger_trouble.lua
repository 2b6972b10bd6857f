-- Notes what keeps a place of a trigger from running.
-- Keys: trigger. Args: revision that it is about, error (JSON). Returns 1; 0 where the trigger is another revision now. Work: constant.
local function trigger_trouble(keys, args)
  if redis.call('HGET', keys[1], 'rev') ~= args[1] then
    return 0
  end
  redis.call('HSET', keys[1], 'error', args[2], 'erred', now_ms())
  return 1
end

gearmill.register('trigger_trouble', trigger_trouble)
