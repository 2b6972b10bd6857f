-- Keys: realm. Returns { owners, processes that have it loaded, bytes they have now, most bytes }. Work: the processes of the realm.
local function realm_stats(keys)
  local r = keys[1]
  local owners, now = tidy_realm(r), now_ms()
  local processes, sum = 0, 0
  for _, said in ipairs(redis.call('HVALS', r .. ':live')) do
    local bytes, till = string.match(said, '^(%d+) (%d+)$')
    if tonumber(till) >= now then
      processes = processes + 1
      sum = sum + tonumber(bytes)
    end
  end
  return { owners, processes, sum, number_of(r, 'peak') }
end

gearmill.register('realm_stats', realm_stats)
