-- Takes over tasks whose lease is over; or, for a consumer that asks for its own, those that it does not know to be its:
-- a server that went back in time, or whose reply was lost, has handed them to it.
-- Keys: task stream. Args: consumer, lease ms, at most this many, then, to ask for one's own: 'own', entries known.
-- Returns { entry, deliveries so far, { field, value, ... } } a task. Work: as many tasks as asked for.
local function take(keys, args)
  local taken = {}
  if redis.call('EXISTS', keys[1]) == 0 then
    return taken
  end
  local own, known, found = args[4] == 'own', {}, nil
  for i = 5, #args do
    known[args[i]] = true
  end
  if own then
    found = redis.call('XPENDING', keys[1], 'gm', '-', '+', args[3], args[1])
  else
    found = redis.call('XPENDING', keys[1], 'gm', 'IDLE', args[2], '-', '+', args[3])
  end
  for _, pending in ipairs(found) do
    local claimed = {}
    if not known[pending[1]] then
      claimed = redis.call('XCLAIM', keys[1], 'gm', args[1], own and 0 or args[2], pending[1])
    end
    if claimed[1] and claimed[1][2] then
      taken[#taken + 1] = { pending[1], pending[4] + 1, claimed[1][2] }
    end
  end
  return taken
end

-- A server without room must not keep dead workers' tasks.
gearmill.register('take', take, { 'allow-oom' })
