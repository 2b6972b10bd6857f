-- Keeps owners of a realm for longer: those that are still there.
-- Keys: realm. Args: ttl ms, owners. Returns how many owners the realm has. Work: the owners given.
local function realm_renew(keys, args)
  local till = string.format('%.0f', now_ms() + tonumber(args[1]))
  for i = 2, #args do
    redis.call('ZADD', keys[1] .. ':owners', 'XX', 'GT', till, args[i])
  end
  return tidy_realm(keys[1])
end

-- A server without room must not forget who keeps a realm.
gearmill.register('realm_renew', realm_renew, { 'allow-oom' })
