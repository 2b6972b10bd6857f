-- Appends what a tap saw to the streams of key triggers, together with how far the tap is in the primary's history: so
-- nothing is lost or doubled when it dies. Triggers that were removed, or made anew, in the meantime get nothing.
-- Keys: seats, positions, then for each trigger: its hash, its stream, its marks.
-- Args: field of the tap's seat, its fence, name of the primary, position that is to be there, position ('' as before), then
-- for each trigger: when it was made, mark of the primary ('' as before), '1' where its keys are to be read again, number
-- of entries, packed entries.
-- Returns how many entries were added; -1 where another tap has the seat, or went on from there. Work: the events given.
local function trigger_tap(keys, args)
  local fence = string.match(redis.call('HGET', keys[1], args[1]) or '', '^%S+ (%d+) ')
  if fence ~= args[2] then
    return -1
  end
  local shard, before, now = args[3], args[4], args[5]
  if now ~= '' then
    local there = redis.call('HGET', keys[2], shard) or ''
    if there == now and now ~= before then
      -- It was called before; the answer was lost.
      return 0
    end
    if there ~= before then
      return -1
    end
    redis.call('HSET', keys[2], shard, now)
  end
  local added, at = 0, 6
  for i = 3, #keys, 3 do
    local facts = redis.call('HMGET', keys[i], 'created', 'state')
    local there = facts[1] == args[at] and facts[2] ~= 'removed'
    local count = tonumber(args[at + 3])
    if there then
      if args[at + 1] ~= '' then
        redis.call('HSET', keys[i + 2], shard, args[at + 1])
      end
      if args[at + 2] == '1' then
        redis.call('HSET', keys[i + 2], 'rescan ' .. shard, '1')
      end
      for k = at + 4, at + 3 + count do
        redis.call('XADD', keys[i + 1], '*', 'd', args[k])
        added = added + 1
      end
    end
    at = at + 4 + count
  end
  return added
end

gearmill.register('trigger_tap', trigger_tap)
