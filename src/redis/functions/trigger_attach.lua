-- Opens a stream for one seat of a trigger: makes the group where it is missing, takes the fence, and takes over what other
-- consumers of the group (seats that are gone, or that had the stream before) left pending.
-- Keys: stream, fences of the home. Args: group, consumer, fence, field of the fence, first id of a new group, 1 to make a
-- missing stream, seats whose consumers keep what they have (0: none do).
-- Returns { 1, entries left to take over }; { 0 } where a later holder has it; { -1 } where there is no stream; { -2, type } where
-- the key is none. Work: 500 entries.
local function trigger_attach(keys, args)
  local stream, fences = keys[1], keys[2]
  local fence = tonumber(redis.call('HGET', fences, args[4]) or '0')
  if fence > tonumber(args[3]) then
    return { 0 }
  end
  -- Events that are kept to be tried again may outlive their stream.
  redis.call('HSET', fences, args[4], args[3])
  local kind = redis.call('TYPE', stream)['ok']
  if kind == 'none' and args[6] ~= '1' then
    return { -1 }
  end
  if kind ~= 'none' and kind ~= 'stream' then
    return { -2, kind }
  end
  local created = redis.pcall('XGROUP', 'CREATE', stream, args[1], args[5], 'MKSTREAM')
  if type(created) == 'table' and created.err and not string.find(created.err, 'BUSYGROUP', 1, true) then
    return redis.error_reply(created.err)
  end
  local left = 0
  local kept = tonumber(args[7])
  for _, consumer in ipairs(redis.call('XINFO', 'CONSUMERS', stream, args[1])) do
    local name, pending = consumer[2], consumer[4]
    local seat = tonumber(string.match(name, '^s(%d+)$') or '-1')
    if name ~= args[2] and pending > 0 and (seat < 0 or seat >= kept) then
      local entries = redis.call('XPENDING', stream, args[1], '-', '+', 500, name)
      local ids = {}
      for i, entry in ipairs(entries) do
        ids[i] = entry[1]
      end
      ids[#ids + 1] = 'JUSTID'
      redis.call('XCLAIM', stream, args[1], args[2], 0, unpack(ids))
      left = left + math.max(0, pending - #entries)
    end
  end
  return { 1, left }
end

gearmill.register('trigger_attach', trigger_attach)
