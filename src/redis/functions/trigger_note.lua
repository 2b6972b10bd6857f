-- Notes facts about the places of a trigger, where it is still there as it was.
-- Keys: trigger. Args: revision that they are about, then field and value of each; `error` notes its time, too.
-- Returns 1; 0 where the trigger is another revision now. Work: constant.
local function trigger_note(keys, args)
  if redis.call('HGET', keys[1], 'rev') ~= args[1] then
    return 0
  end
  for i = 2, #args, 2 do
    redis.call('HSET', keys[1], args[i], args[i + 1])
    if args[i] == 'error' then
      redis.call('HSET', keys[1], 'erred', now_ms())
    end
  end
  return 1
end

gearmill.register('trigger_note', trigger_note)
