-- What the processes of one worker say of a realm that they have loaded.
-- Keys: realm. Args: worker, ttl ms, most bytes that its processes had at a time since the last report, 1 where these are all
-- processes of the worker that have it (0: others stay), then process and bytes of each.
-- Returns 1; 0 where the realm is gone: it is to be unloaded. Work: the processes of the realm.
local function realm_report(keys, args)
  local r, live = keys[1], keys[1] .. ':live'
  if tidy_realm(r) == 0 then
    return 0
  end
  local now = now_ms()
  local own = {}
  for i = 5, #args, 2 do
    own[args[1] .. ' ' .. args[i]] = args[i + 1]
  end
  local sum, mine = 0, 0
  local before = redis.call('HGETALL', live)
  for i = 1, #before, 2 do
    local bytes, till = string.match(before[i + 1], '^(%d+) (%d+)$')
    local is_mine = string.sub(before[i], 1, #args[1] + 1) == args[1] .. ' '
    if tonumber(till) < now or (is_mine and args[4] == '1' and not own[before[i]]) then
      redis.call('HDEL', live, before[i])
    elseif not is_mine then
      sum = sum + tonumber(bytes)
    end
  end
  local till = string.format('%.0f', now + tonumber(args[2]))
  for process, bytes in pairs(own) do
    redis.call('HSET', live, process, bytes .. ' ' .. till)
    mine = mine + tonumber(bytes)
  end
  local peak = sum + math.max(mine, tonumber(args[3]))
  if peak > number_of(r, 'peak') then
    redis.call('HSET', r, 'peak', string.format('%.0f', peak))
  end
  tidy_realm(r)
  return 1
end

-- A server without room must learn of what can be unloaded.
gearmill.register('realm_report', realm_report, { 'allow-oom' })
