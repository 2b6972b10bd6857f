-- Removes a named value (a model, a tensor) with its parts.
-- Keys: value, a hash. Returns 1; 0 where there is none. Work: a command a part, of 1 MiB.
local function value_remove(keys)
  local old = redis.call('HMGET', keys[1], 'upload', 'parts')
  if not old[1] then
    return 0
  end
  for i = 0, tonumber(old[2]) - 1 do
    redis.call('UNLINK', keys[1] .. ':' .. old[1] .. ':' .. i)
  end
  redis.call('UNLINK', keys[1])
  return 1
end

gearmill.register('value_remove', value_remove, { 'allow-oom' })
