-- Removes the entries of a stream that every group has processed: those before the first that is pending in any group, or
-- not yet handed out to one.
-- Keys: stream. Returns how many. Work: 20,000 entries.
local function before(a, b)
  local a1, a2 = string.match(a, '^(%d+)-(%d+)$')
  local b1, b2 = string.match(b, '^(%d+)-(%d+)$')
  if tonumber(a1) ~= tonumber(b1) then
    return tonumber(a1) < tonumber(b1)
  end
  return tonumber(a2) < tonumber(b2)
end

local function trigger_trim(keys)
  if redis.call('EXISTS', keys[1]) == 0 then
    return 0
  end
  local least
  for _, group in ipairs(redis.call('XINFO', 'GROUPS', keys[1])) do
    local facts = {}
    for i = 1, #group, 2 do
      facts[group[i]] = group[i + 1]
    end
    local ms, seq = string.match(facts['last-delivered-id'], '^(%d+)-(%d+)$')
    -- The first entry that is to stay: the one behind the last that was handed out, or the oldest pending one.
    local first = ms .. '-' .. string.format('%.0f', tonumber(seq) + 1)
    if facts['pending'] > 0 then
      first = redis.call('XPENDING', keys[1], facts['name'])[2]
    end
    if not least or before(first, least) then
      least = first
    end
  end
  if not least then
    return 0
  end
  local removed = redis.call('XTRIM', keys[1], 'MINID', '~', least, 'LIMIT', 20000)
  if removed == 0 then
    removed = redis.call('XTRIM', keys[1], 'MINID', '=', least)
  end
  return removed
end

gearmill.register('trigger_trim', trigger_trim)
