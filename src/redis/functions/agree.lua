-- What the tasks of a stage agree on under a name: the first of them decides.
-- Keys: x. Args: field of x, value.
-- Returns the value that is agreed on, '' where the execution is gone. Work: constant.
local function agree(keys, args)
  local x, field = keys[1], args[1]
  if redis.call('EXISTS', x) == 0 then
    return ''
  end
  redis.call('HSETNX', x, field, args[2])
  return redis.call('HGET', x, field)
end

gearmill.register('agree', agree)
