-- A block of an earlier stage is missing: that stage makes its blocks again, then the current one goes on.
-- Keys: x, task stream, events.
-- Args: epoch in which the loss was seen, stage that made the block, how often this may happen, failure JSON.
-- Returns 1 where the execution went back, 0 where somebody else saw it first or it is over. Work: one window of tasks.
local function lost(keys, args)
  local x, tasks, events = keys[1], keys[2], keys[3]
  local state = redis.call('HMGET', x, 'state', 'epoch', 'stage', 'resume')
  if state[1] ~= 'running' or state[2] ~= args[1] then
    return 0
  end
  if tonumber(state[2]) >= tonumber(args[3]) then
    finish(x, events, 'failed', args[4])
    return 1
  end
  redis.call('HINCRBY', x, 'epoch', 1)
  redis.call('HSET', x, 'rebuild', args[2], 'resume', state[4] or state[3])
  begin_stage(x, tasks, tonumber(args[2]))
  return 1
end

gearmill.register('lost', lost)
