-- Removes what an execution has in its lane.
-- Keys: x, index. Args: id.
-- Returns 1; 0 where it is still running. Work: constant (values are freed in the background).
local function forget(keys, args)
  local x = keys[1]
  local fields = redis.call('HMGET', x, 'state', 'code')
  if fields[1] == 'running' or fields[1] == 'waiting' then
    return 0
  end
  if fields[2] and fields[2] ~= '' then
    redis.call('SREM', fields[2] .. ':r', args[1])
    if redis.call('EXISTS', fields[2] .. ':r') == 0 then
      redis.call('UNLINK', fields[2])
    end
  end
  redis.call('UNLINK', x, x .. ':p', x .. ':done', x .. ':w', x .. ':e', x .. ':letters', x .. ':k')
  redis.call('ZREM', keys[2], args[1])
  return 1
end

-- It makes room.
gearmill.register('forget', forget, { 'allow-oom' })
