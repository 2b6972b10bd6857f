-- Renews the leases that a worker still holds. A plain XCLAIM would steal back what another worker took over.
-- Keys: task stream. Args: consumer, entries.
-- Returns the entries that are still the worker's: none where the stream is gone. Work: one look-up and claim an entry.
local function renew(keys, args)
  local held = {}
  for i = 2, #args do
    local pending = redis.pcall('XPENDING', keys[1], 'gm', args[i], args[i], 1, args[1])
    if not pending.err and #pending > 0 then
      redis.call('XCLAIM', keys[1], 'gm', args[1], 0, args[i], 'JUSTID')
      held[#held + 1] = args[i]
    end
  end
  return held
end

-- A server without room must not take leases away.
gearmill.register('renew', renew, { 'allow-oom' })
