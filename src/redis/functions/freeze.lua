-- Freezes the outbox of one attempt as the effects that count for its task, whoever applies them.
-- Keys: x, task stream, outbox. Args: entry, stage, task, epoch, attempt, outbox ttl ms.
-- Returns the attempt token whose outbox counts; '' where the task was committed before or its execution does not run.
-- Work: constant.
local function freeze(keys, args)
  local x = keys[1]
  local state = redis.call('HMGET', x, 'state', 'epoch')
  if state[1] ~= 'running' or state[2] ~= args[4] then
    return ''
  end
  if #redis.call('XPENDING', keys[2], 'gm', args[1], args[1], 1) == 0 then
    return ''
  end
  local field = 'o.' .. args[2] .. '.' .. args[3]
  if redis.call('HSETNX', x, field, args[5]) == 1 then
    redis.call('PEXPIRE', keys[3], args[6])
    return args[5]
  end
  return redis.call('HGET', x, field)
end

gearmill.register('freeze', freeze)
