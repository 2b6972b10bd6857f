-- Ends an execution from outside. What was committed stays; what runs is refused when it tries to commit.
-- Keys: x, events. Args: failure JSON.
-- Returns 1 where it was running or waiting; 0 where it had ended; -1 where it is unknown. Work: constant.
local function abort(keys, args)
  local state = redis.call('HGET', keys[1], 'state')
  if not state then
    return -1
  end
  if state ~= 'running' and state ~= 'waiting' then
    return 0
  end
  finish(keys[1], keys[2], 'aborted', args[1])
  return 1
end

-- It must work on a server without room.
gearmill.register('abort', abort, { 'allow-oom' })
