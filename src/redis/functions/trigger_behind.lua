-- Whether entries that were added before a time are still to be put into windows: they are pending, or not even read.
-- Keys: streams. Args: group, time in milliseconds. Returns 1 or 0. Work: the streams given.
local function trigger_behind(keys, args)
  local before = tonumber(args[2])
  local last = string.format('%.0f', before - 1)
  for _, stream in ipairs(keys) do
    local groups = redis.pcall('XINFO', 'GROUPS', stream)
    for _, group in ipairs(groups.err and {} or groups) do
      local facts = {}
      for i = 1, #group, 2 do
        facts[group[i]] = group[i + 1]
      end
      if facts['name'] == args[1] then
        if facts['pending'] > 0 then
          local first = redis.call('XPENDING', stream, args[1])[2]
          if tonumber(string.match(first, '^(%d+)-')) < before then
            return 1
          end
        end
        -- Whatever is behind the last id is not before the time either.
        local delivered = facts['last-delivered-id']
        local ms = string.match(delivered, '^(%d+)-')
        if tonumber(ms) < before and #redis.call('XRANGE', stream, '(' .. delivered, last, 'COUNT', 1) > 0 then
          return 1
        end
      end
    end
  end
  return 0
end

gearmill.register('trigger_behind', trigger_behind)
