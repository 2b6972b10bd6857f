-- Takes a task back from a worker: to be tried again later, or as the failure that ends its execution.
-- Keys: x, task stream, delayed set, events.
-- Args: entry, stage, task, epoch, next attempt, delay ms, counted (1: a death or time-out; 0: given back unharmed),
--       what the next attempt must know (opaque), failure JSON ('' : try again), the worker.
-- Returns 1; 0 where the entry was acknowledged before, or another worker has taken it over. Work: constant.
local function fail(keys, args)
  local x, tasks, delayed, events = keys[1], keys[2], keys[3], keys[4]
  -- A task that was taken over is not this worker's to give back: two attempts would have one name.
  local pending = redis.pcall('XPENDING', tasks, 'gm', args[1], args[1], 1, args[10])
  if pending.err or #pending == 0 then
    return 0
  end
  redis.call('XACK', tasks, 'gm', args[1])
  redis.call('XDEL', tasks, args[1])
  local state = redis.call('HMGET', x, 'state', 'epoch', 'id', 'lease')
  if state[1] ~= 'running' or state[2] ~= args[4] then
    return 1
  end
  if args[7] == '1' then
    redis.call('HINCRBY', x, 'retries', 1)
  end
  if args[9] ~= '' then
    redis.call('HSET', x, 'failed', args[2] .. '.' .. args[3])
    finish(x, events, 'failed', args[9])
    return 1
  end
  local member = cjson.encode({ x = state[3], s = args[2], t = args[3], e = args[4], a = args[5], c = args[8] })
  redis.call('ZADD', delayed, now_ms() + tonumber(args[6]), member)
  expire_with(delayed, tonumber(state[4]))
  return 1
end

-- This is how work waits for room.
gearmill.register('fail', fail, { 'allow-oom' })
