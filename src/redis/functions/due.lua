-- Lets delayed work in whose time has come: tasks to be tried again, executions that start late.
-- Keys: task stream, delayed set, events. Args: lane prefix of execution keys.
-- Returns the milliseconds until the next is due; -1 where nothing waits. Work: at most 100 entries.
local function due(keys, args)
  local tasks, delayed, events = keys[1], keys[2], keys[3]
  local now = now_ms()
  local ready = redis.call('ZRANGE', delayed, '-inf', now, 'BYSCORE', 'LIMIT', 0, 100)
  for _, member in ipairs(ready) do
    redis.call('ZREM', delayed, member)
    if string.sub(member, 1, 6) == 'start:' then
      local x = args[1] .. string.sub(member, 7)
      if redis.call('HGET', x, 'state') == 'waiting' then
        redis.call('HSET', x, 'state', 'running')
        advance(x, tasks, events)
      end
    else
      local task = cjson.decode(member)
      if redis.call('HGET', args[1] .. task.x, 'state') == 'running' then
        open_stream(args[1] .. task.x, tasks)
        add_task(args[1] .. task.x, tasks, task.s, task.t, task.e, task.a, task.c)
      end
    end
  end
  local first = redis.call('ZRANGE', delayed, 0, 0, 'WITHSCORES')
  if not first[1] then
    return -1
  end
  return math.max(0, math.ceil(tonumber(first[2]) - now))
end

-- This is how work that waited for room goes on.
gearmill.register('due', due, { 'allow-oom' })
