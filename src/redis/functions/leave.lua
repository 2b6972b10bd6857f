-- A worker's farewell: its sign of life goes, and its group's consumer where nothing of it is pending.
-- Keys: live set, task stream, groups. Args: worker, group.
-- Returns 1. Work: constant.
local function leave(keys, args)
  redis.call('ZREM', keys[1], args[1])
  redis.call('HDEL', keys[1] .. ':info', args[1])
  redis.call('HDEL', keys[1] .. ':n', args[1])
  if redis.call('EXISTS', keys[1]) == 0 then
    redis.call('DEL', keys[2] .. ':n')
    redis.call('ZREM', keys[3], args[2])
    redis.call('ZREM', keys[3] .. ':scripts', args[2])
  end
  if redis.call('EXISTS', keys[2]) == 1 then
    local pending = redis.call('XPENDING', keys[2], 'gm', '-', '+', 1, args[1])
    if #pending == 0 then
      redis.call('XGROUP', 'DELCONSUMER', keys[2], 'gm', args[1])
    end
  end
  return 1
end

-- It makes room.
gearmill.register('leave', leave, { 'allow-oom' })
