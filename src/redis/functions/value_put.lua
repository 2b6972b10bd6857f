-- Makes what was uploaded the content of a named value (a model, a tensor), in place of whatever its key held.
-- Keys: value, a hash. Args: info (JSON), upload (its parts are the keys `value:upload:0`, ...), number of parts, data of a
-- value that is small enough to have none.
-- Returns 1; 0 where a part has expired. A second call changes nothing. Work: three commands a part, of 1 MiB.
local function value_put(keys, args)
  local value, upload, parts = keys[1], args[2], tonumber(args[3])
  for i = 0, parts - 1 do
    if redis.call('EXISTS', value .. ':' .. upload .. ':' .. i) == 0 then
      return 0
    end
  end
  for i = 0, parts - 1 do
    redis.call('PERSIST', value .. ':' .. upload .. ':' .. i)
  end
  local old = {}
  if redis.call('TYPE', value)['ok'] == 'hash' then
    old = redis.call('HMGET', value, 'upload', 'parts')
  else
    redis.call('UNLINK', value)
  end
  redis.call('HSET', value, 'info', args[1], 'upload', upload, 'parts', parts, 'data', args[4])
  if old[1] and old[1] ~= upload then
    for i = 0, (tonumber(old[2]) or 0) - 1 do
      redis.call('UNLINK', value .. ':' .. old[1] .. ':' .. i)
    end
  end
  return 1
end

gearmill.register('value_put', value_put)
