-- Takes over tasks whose lease is over.
-- Keys: task stream. Args: consumer, lease ms, at most this many.
-- Returns { entry, deliveries so far, { field, value, ... } } a task. Work: as many tasks as asked for.
local function take(keys, args)
  local taken = {}
  if redis.call('EXISTS', keys[1]) == 0 then
    return taken
  end
  local idle = redis.call('XPENDING', keys[1], 'gm', 'IDLE', args[2], '-', '+', args[3])
  for _, pending in ipairs(idle) do
    local claimed = redis.call('XCLAIM', keys[1], 'gm', args[1], args[2], pending[1])
    if claimed[1] and claimed[1][2] then
      taken[#taken + 1] = { pending[1], pending[4] + 1, claimed[1][2] }
    end
  end
  return taken
end

-- A server without room must not keep dead workers' tasks.
gearmill.register('take', take, { 'allow-oom' })
