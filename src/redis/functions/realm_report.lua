-- What the processes of one worker say of the realms that they have loaded.
-- Keys: realms. Args: worker, ttl ms, 1 where these are all processes of the worker that have a realm (0: others stay), then for
-- each realm: most bytes that its processes had at a time since the last report, how many they are, process and bytes of each.
-- Returns for each realm 1, or 0 where it is gone: it is to be unloaded. Work: the processes of the realms.
local function report(r, worker, ttl, is_all, most, own)
  if tidy_realm(r) == 0 then
    return 0
  end
  local live, now = r .. ':live', now_ms()
  local sum, mine = 0, 0
  local before = redis.call('HGETALL', live)
  for i = 1, #before, 2 do
    local bytes, till = string.match(before[i + 1], '^(%d+) (%d+)$')
    local is_mine = string.sub(before[i], 1, #worker + 1) == worker .. ' '
    if tonumber(till) < now or (is_mine and is_all and not own[before[i]]) then
      redis.call('HDEL', live, before[i])
    elseif not own[before[i]] then
      sum = sum + tonumber(bytes)
    end
  end
  local till = string.format('%.0f', now + ttl)
  for process, bytes in pairs(own) do
    redis.call('HSET', live, process, bytes .. ' ' .. till)
    mine = mine + tonumber(bytes)
  end
  local peak = sum + math.max(mine, most)
  if peak > number_of(r, 'peak') then
    redis.call('HSET', r, 'peak', string.format('%.0f', peak))
  end
  tidy_realm(r)
  return 1
end

local function realm_report(keys, args)
  local kept, at = {}, 4
  for i, r in ipairs(keys) do
    local most, count, own = tonumber(args[at]), tonumber(args[at + 1]), {}
    at = at + 2
    for _ = 1, count do
      own[args[1] .. ' ' .. args[at]] = args[at + 1]
      at = at + 2
    end
    kept[i] = report(r, args[1], tonumber(args[2]), args[3] == '1', most, own)
  end
  return kept
end

-- A server without room must learn of what can be unloaded.
gearmill.register('realm_report', realm_report, { 'allow-oom' })
