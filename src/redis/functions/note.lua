-- Notes a temporary key of a sink, so that it lives as long as the execution needs it and no longer.
-- Keys: x. Args: key, execution's lease ms (0: remote).
-- Returns 1; 0 where the execution does not run. Work: constant.
local function note(keys, args)
  if redis.call('HGET', keys[1], 'state') ~= 'running' then
    return 0
  end
  redis.call('HSET', keys[1] .. ':k', 't.' .. args[1], '')
  expire_with(keys[1] .. ':k', tonumber(args[2]))
  return 1
end

gearmill.register('note', note)
