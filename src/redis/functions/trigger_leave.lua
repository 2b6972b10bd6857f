-- Ends a trigger's group on a stream. A stream that was made for it, and never had an entry, goes with the last group.
-- Keys: stream. Args: group. Returns 1; 0 where there is no such group. Work: the group's pending entries.
local function trigger_leave(keys, args)
  local left = redis.pcall('XGROUP', 'DESTROY', keys[1], args[1])
  if left ~= 1 then
    return 0
  end
  local facts = {}
  local list = redis.call('XINFO', 'STREAM', keys[1])
  for i = 1, #list, 2 do
    facts[list[i]] = list[i + 1]
  end
  if facts['length'] == 0 and facts['groups'] == 0 and facts['last-generated-id'] == '0-0' then
    redis.call('DEL', keys[1])
  end
  return 1
end

gearmill.register('trigger_leave', trigger_leave)
