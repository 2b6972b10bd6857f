-- Forgets an entry of a task stream that means nothing any more: its execution ended, is unknown, or went another way.
-- Keys: task stream, x. Args: entry, epoch.
-- Returns 1, or 0 where it means something still (a server that went back in time): its lease runs out then, and
-- whoever takes it over runs it. Work: constant.
local function drop(keys, args)
  local state = redis.call('HMGET', keys[2], 'state', 'epoch')
  if state[1] == 'running' and state[2] == args[2] then
    return 0
  end
  redis.call('XACK', keys[1], 'gm', args[1])
  redis.call('XDEL', keys[1], args[1])
  return 1
end

-- It makes room.
gearmill.register('drop', drop, { 'allow-oom' })
