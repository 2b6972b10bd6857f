-- Commits events of a trigger: at most once, whoever tries. The acknowledgement decides; all else follows in the same call.
-- Keys: stream, then of the home: fences, counters, retries, due times, dead letters, outboxes.
-- Args: 1 group, 2 field of the fence, 3 fence, 4 'new', 'again' or 'closed' (a window's
--       end): ids are then fields of the retries, 5 '1' to delete entries,
--       6 events, 7 of them that succeeded, 8 latest error (JSON or ''), 9 outbox ('' none), 10 its name, 11 effects
--       (MessagePack: index into the ids from 1, or a field; command; ...), 12 number of ids n,
--       ids, then for each failed event: its field, attempts, delay ms (-1: dead letter; '@' and the end of its window; '~'
--       and the delay before it is put into a window again), its record.
-- Returns { acknowledged, effects applied, effects that failed }; { 0 } where the ids are others' or settled; { -1 } where a
-- later holder has the seat. Work: the effects and ids given (the caller sends at most a thousand of each).
local function trigger_commit(keys, args)
  local fences, counters, retries, due, letters = keys[2], keys[3], keys[4], keys[5], keys[6]
  if redis.call('HGET', fences, args[2]) ~= args[3] then
    return { -1 }
  end
  -- Before anything is acknowledged: what cannot be read must not be half done.
  local effects = args[11] ~= '' and cmsgpack.unpack(args[11])
  local count = tonumber(args[12])
  local again = args[4] ~= 'new'
  local acked = 0
  for first = 13, 12 + count, 5000 do
    local last = math.min(12 + count, first + 4999)
    if again then
      acked = acked + redis.call('HDEL', retries, unpack(args, first, last))
    else
      acked = acked + redis.call('XACK', keys[1], args[1], unpack(args, first, last))
    end
  end
  if acked == 0 then
    return { 0 }
  end
  for first = 13, 12 + count, 5000 do
    local last = math.min(12 + count, first + 4999)
    if again then
      redis.call('ZREM', due, unpack(args, first, last))
    elseif args[5] == '1' then
      redis.call('XDEL', keys[1], unpack(args, first, last))
    end
  end
  local now = now_ms()
  local later = 0
  for i = 13 + count, #args, 4 do
    local at = string.match(args[i + 2], '^@(%d+)$')
    local again = string.match(args[i + 2], '^~(%d+)$')
    if again then
      at = gearmill.before_windows(now + tonumber(again))
    end
    local delay = tonumber(args[i + 2])
    if not at and delay < 0 then
      redis.call('HSET', letters, args[i], 'R' .. args[i + 1] .. ' ' .. now .. ' ' .. args[i + 3])
    else
      redis.call('HSET', retries, args[i], args[i + 1] .. ' ' .. args[i + 3])
      redis.call('ZADD', due, at or now + delay, args[i])
      later = later + 1
    end
  end
  local applied, failed = 0, 0
  if effects then
    local broken = {}
    local run, spread = redis.pcall, unpack
    for i = 1, #effects, 2 do
      local origin, command = effects[i], effects[i + 1]
      local letter = broken[origin]
      if not letter then
        -- More arguments than this cannot be spread; nobody sends them.
        local reply = #command > 7000 and { err = 'ERR too many arguments' } or run(spread(command))
        local reason = type(reply) == 'table' and reply.err
        if reason then
          letter = { netstring(reason) }
          broken[origin] = letter
          failed = failed + 1
        else
          applied = applied + 1
        end
      end
      if letter then
        letter[#letter + 1] = netstring(#command)
        for k = 1, #command do
          letter[#letter + 1] = netstring(command[k])
        end
      end
    end
    for origin, letter in pairs(broken) do
      local field = origin
      if type(origin) == 'number' then
        field = again and args[12 + origin] or args[12 + origin] .. ' 0 ' .. keys[1]
      end
      redis.call('HSET', letters, field, 'E1 ' .. now .. ' ' .. table.concat(letter))
    end
  end
  if args[9] ~= '' then
    redis.call('HSET', keys[7], args[10], args[9])
  end
  if args[4] == 'again' then
    redis.call('HINCRBY', counters, 'retries', args[6])
  elseif args[4] == 'new' then
    redis.call('HINCRBY', counters, 'events', args[6])
  end
  -- Those of an outbox succeed when it is applied.
  if args[9] == '' then
    redis.call('HINCRBY', counters, 'successes', tonumber(args[7]) - failed)
  end
  local failures = tonumber(args[6]) - tonumber(args[7]) - later + failed
  if failures > 0 then
    redis.call('HINCRBY', counters, 'failures', failures)
  end
  if args[8] ~= '' then
    redis.call('HSET', counters, 'error', args[8], 'erred', now)
  elseif failed > 0 then
    redis.call('HSET', counters, 'error', '{"code":"EXECUTION_EFFECT","message":"a command was refused by the server: see the dead letters"}', 'erred', now)
  end
  return { acked, applied, failed }
end

gearmill.register('trigger_commit', trigger_commit)
