-- Begins or goes on with the removal of a trigger: its seats end, and nobody registers the name as long as its remover lives.
-- Keys: trigger, events. Args: name, how long this holds in ms, '1' to begin.
-- Returns 1; 0 where there is no such trigger, another one removes it, or somebody registered the name anew. Work: constant.
local function trigger_remove(keys, args)
  local there = redis.call('HMGET', keys[1], 'rev', 'state', 'removing')
  local now = now_ms()
  if not there[1] then
    return 0
  end
  if args[3] ~= '1' then
    if there[2] ~= 'removed' then
      return 0
    end
  elseif there[2] == 'removed' and tonumber(there[3] or '0') > now then
    return 0
  else
    redis.call('HSET', keys[1], 'state', 'removed', 'reason', '')
    redis.call('XADD', keys[2], 'MAXLEN', '~', 100, '*', 'n', args[1])
  end
  redis.call('HSET', keys[1], 'removing', now + tonumber(args[2]))
  return 1
end

gearmill.register('trigger_remove', trigger_remove)
