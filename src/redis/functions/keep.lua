-- Keeps the keys of a client's local executions alive for one more lease.
-- Keys: the keys. Args: lease ms. Returns how many exist. Work: one command a key.
local function keep(keys, args)
  local kept = 0
  for _, key in ipairs(keys) do
    kept = kept + redis.call('PEXPIRE', key, args[1])
  end
  return kept
end

gearmill.register('keep', keep)
