-- Removes a named value (a model, a tensor) with its parts.
-- Keys: value, a hash; whatever else is there goes, too. Returns 1; 0 where there is none. Work: a command a part, of 1 MiB.
local function value_remove(keys)
  if redis.call('TYPE', keys[1])['ok'] == 'hash' then
    local old = redis.call('HMGET', keys[1], 'upload', 'parts')
    for i = 0, (tonumber(old[2]) or 0) - 1 do
      redis.call('UNLINK', keys[1] .. ':' .. (old[1] or '') .. ':' .. i)
    end
  end
  return redis.call('UNLINK', keys[1])
end

gearmill.register('value_remove', value_remove, { 'allow-oom' })
