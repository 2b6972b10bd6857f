-- Removes the entries of a stream that every group has processed: those before the first that is pending in any group, or
-- not yet handed out to one.
-- Keys: stream. Returns how many. Work: 20,000 entries.
-- Ids are of two numbers of 64 bits, more than a number of Lua can tell apart.
local function is_less(a, b)
  if #a ~= #b then
    return #a < #b
  end
  return a < b
end

local function before(a, b)
  local a1, a2 = string.match(a, '^(%d+)-(%d+)$')
  local b1, b2 = string.match(b, '^(%d+)-(%d+)$')
  if a1 ~= b1 then
    return is_less(a1, b1)
  end
  return is_less(a2, b2)
end

-- The number after one; nil after the last.
local function following(digits)
  if digits == '18446744073709551615' then
    return nil
  end
  local head, last, nines = string.match(digits, '^(%d-)([0-8]?)(9*)$')
  return head .. ((tonumber(last) or 0) + 1) .. string.rep('0', #nines)
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
    local first = facts['last-delivered-id']
    if following(seq) then
      first = ms .. '-' .. following(seq)
    elseif following(ms) then
      first = following(ms) .. '-0'
    end
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
