-- Forgets what is kept for triggers as a whole and is not needed any more: everything with the last trigger, the taps with
-- the last key trigger.
-- Keys: registry, seats, live workers, events, positions of taps. Args: prefix of trigger keys.
-- Returns how many triggers are left. Work: the triggers.
local function trigger_forget(keys, args)
  local names = redis.call('HKEYS', keys[1])
  local tapped = false
  for _, name in ipairs(names) do
    tapped = tapped or redis.call('HGET', args[1] .. gearmill.in_keys(name), 'kind') == 'keys'
  end
  if not tapped then
    for _, field in ipairs(redis.call('HKEYS', keys[2])) do
      if string.match(field, '^%d+%.@') then
        redis.call('HDEL', keys[2], field)
      end
    end
    redis.call('UNLINK', keys[5])
  end
  if #names == 0 then
    redis.call('UNLINK', keys[2], keys[3], keys[4])
  end
  return #names
end

gearmill.register('trigger_forget', trigger_forget)
