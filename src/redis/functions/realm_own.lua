-- Has a client keep a realm.
-- Keys: realm. Args: owner, ttl ms, MiB of executors of its own (0: none; counts where the realm is new).
-- Returns the MiB that the realm has. Work: constant.
local function realm_own(keys, args)
  return gearmill.own_realm(keys[1], args[1], tonumber(args[2]), args[3])
end

gearmill.register('realm_own', realm_own)
