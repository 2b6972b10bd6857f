-- An owner keeps a realm no longer.
-- Keys: realm. Args: owner. Returns how many owners are left: with the last the realm goes. Work: constant.
local function realm_leave(keys, args)
  return gearmill.leave_realm(keys[1], args[1])
end

-- It makes room.
gearmill.register('realm_leave', realm_leave, { 'allow-oom' })
