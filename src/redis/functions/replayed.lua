-- Says what became of a dead letter that was replayed.
-- Keys: letters of an execution. Args: field, the letter as it was, what is left of it ('' nothing).
-- Returns 1; 0 where another replay was there first. Work: constant.
local function replayed(keys, args)
  if redis.call('HGET', keys[1], args[1]) ~= args[2] then
    return 0
  end
  if args[3] == '' then
    redis.call('HDEL', keys[1], args[1])
  else
    redis.call('HSET', keys[1], args[1], args[3])
  end
  return 1
end

gearmill.register('replayed', replayed)
