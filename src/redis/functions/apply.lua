-- Applies one chunk of a frozen outbox, once. Chunks of one marker are applied in order: the marker holds the number of
-- the next one, and what failed so far, until the task has been committed. A server that went back in time has forgotten
-- marker and effects together: the applier is told which chunk is next.
-- Keys: marker, x where it lies in the marker's slot (a late call is then refused when the task is committed).
-- Args: chunk, field of x that says the task is frozen (without x: the time in ms after which the call comes too late, or
--       anything else), marker ttl ms, cluster (1: look at each key first, because the
--       slot may be migrating), number of records to skip, record and reason of each, then the effects as run_effects takes them.
-- Returns { applied, failed records ... as record, letter }, the stored reply where the chunk was applied before; { -1 }
-- where the task is committed or the call comes too late; { -2, next chunk } where chunks before this one are missing. Work: the effects given (the caller sends what takes at most 2 ms).
local function apply(keys, args)
  local marker, chunk = keys[1], tonumber(args[1])
  if keys[2] and redis.call('HEXISTS', keys[2], args[2]) == 0 then
    return { -1 }
  end
  local deadline = not keys[2] and tonumber(args[2])
  if deadline and now_ms() > deadline then
    return { -1 }
  end
  local next = tonumber(redis.call('HGET', marker, 'n') or '0')
  if chunk > next then
    return { -2, next }
  end
  if chunk < next then
    return cmsgpack.unpack(redis.call('HGET', marker, 'r' .. chunk) or cmsgpack.pack({ 0 }))
  end
  local skips, at, skip = tonumber(args[5]), 6, {}
  for _ = 1, skips do
    skip[args[at]] = args[at + 1]
    at = at + 2
  end
  if args[4] == '1' then
    -- On a slot that migrates, the first write to a missing key would abort the call after earlier writes.
    local probe = at
    while probe <= #args do
      local commands = tonumber(args[probe + 1])
      probe = probe + 2
      for _ = 1, commands do
        local count = tonumber(args[probe])
        if count > 1 then
          local reply = redis.pcall('EXISTS', args[probe + 2])
          if type(reply) == 'table' and reply.err then
            return redis.error_reply('TRYAGAIN the slot of an effect is moving')
          end
        end
        probe = probe + count + 1
      end
    end
  end
  local applied, failed = run_effects(args, at, skip)
  local reply = { applied }
  for i = 1, #failed do
    reply[i + 1] = failed[i]
  end
  redis.call('HSET', marker, 'n', chunk + 1, 'r' .. chunk, cmsgpack.pack(reply))
  redis.call('PEXPIRE', marker, args[3])
  return reply
end

gearmill.register('apply', apply)
