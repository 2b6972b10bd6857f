-- Commits steps of chains, each at most once, whoever tries: its writes, its trace and what follows are one.
-- Keys: lane. Args: 1 host, 2 ms that an ended chain is kept, 3 ms that a failed one is, 4 statistics (MessagePack: kernel,
--       steps, microseconds, failures; ...), 5 the commits (MessagePack: a list of entries, each packed for itself), then names
--       of kernels to look up (not in a cluster).
-- An entry: { id, strand, fence ('<step> <attempt> <crashes> <owner> <phase> '), trace or false, commands or false, kind, ... }.
-- Kinds, and what follows them:
--   'n' value            the next step; the host has it
--   'q' value            the next step, for the queue
--   'w' value delay key  the next step, in so many ms, and when the key (false: none) is there
--   'd' result reply     the end of the chain
--   'j' result           the end of a branch
--   'a' value, then { value, kept, delay, key } of each branch: a fan-out
--   'f' error reply      the step failed for good
--   'o' value bytes      the writes are many, or of other slots: freezes them, for the host to apply (phase 'o'); bytes: of the
--                        value of a branch that ends with them, else false
-- Returns { a letter for each entry, tags of the kernels, then index (from 1), a, b for what has more to tell }. Letters:
--   '1' committed, 'x' refused: the strand is not the host's, or further on, or its chain was aborted when the step was decided
--   'e' (a = reason) the first write was refused by the server: nothing happened
--   'p' (a = writes applied, b = reason) a later one was: the rest is frozen with the entry, and the host's still
--   's' (a = bytes) the values of the branches would be too many: nothing happened
--   'v' (a = strand, b = value) committed, and its join goes on with this step, in this host
-- Work: the entries given (the caller sends what takes about a millisecond).
local function commit(lane, host, packed, keeps)
  local entry = cmsgpack.unpack(packed)
  local id, n, fence, kind = entry[1], entry[2], entry[3], entry[6]
  local chain, field, strand = lane .. ':chain:' .. id, 's' .. n, n .. '.' .. id
  local value = redis.call('HGET', chain, field)
  if not value or string.sub(value, 1, #fence) ~= fence then
    return 'x'
  end
  -- A branch's value is counted when its step is decided.
  local bytes = kind == 'j' and #entry[7] or kind == 'o' and entry[8]
  local parent = bytes and string.match(n, '^(.*)_%d+$')
  local counts = bytes and string.sub(fence, -2) == 'r '
  if counts then
    local all = tonumber(redis.call('HGET', chain, 'b' .. parent) or '0') + bytes
    if all > longest_join then
      return 's', all, ''
    end
  end
  if kind == 'o' then
    if counts then
      redis.call('HINCRBY', chain, 'b' .. parent, bytes)
    end
    redis.call('HSET', chain, field, entry[7])
    return '1'
  end
  local commands = entry[5]
  if kind ~= 'f' and string.sub(fence, -2) == 'o ' and redis.call('HEXISTS', chain, 'aborted') == 1 then
    -- Decided before the chain was aborted: what follows it waits for chain_resume.
    local step, attempt, crashes, _, phase, payload = chain_parts(value)
    if not commands or #commands == 0 then
      local frozen = string.match(payload, '^%d+ (.*)$')
      payload = #cmsgpack.unpack(frozen)[5] .. ' ' .. frozen
    end
    redis.call('HSET', chain, field, table.concat({ step, attempt, crashes, 'F', phase, payload }, ' '))
    redis.call('SREM', lane .. ':chains:h:' .. host, strand)
    return 'x'
  end
  if commands then
    for i = 1, #commands do
      local ok, reply = pcall(redis.pcall, unpack(commands[i]))
      local reason
      if not ok then
        reason = tostring(reply)
      elseif type(reply) == 'table' and reply.err then
        reason = reply.err
      end
      if reason and i == 1 then
        return 'e', reason, ''
      elseif reason then
        if counts then
          redis.call('HINCRBY', chain, 'b' .. parent, bytes)
        end
        redis.call('HSET', chain, field, string.sub(fence, 1, -3) .. 'o ' .. (i - 1) .. ' ' .. packed)
        return 'p', i - 1, reason
      end
    end
  end
  if entry[4] then
    local length = redis.call('RPUSH', chain .. ':t', entry[4])
    if length > longest_trace + 100 then
      redis.call('LTRIM', chain .. ':t', -longest_trace, -1)
      redis.call('HINCRBY', chain, 'cut', length - longest_trace)
    end
  end
  if kind == 'n' then
    redis.call('HSET', chain, field, entry[7])
    return '1'
  end
  local held = lane .. ':chains:h:' .. host
  local function put(name, new, delay, key)
    if key then
      redis.call('HSET', chain, 'k' .. string.match(name, '^[%d_]+'), key)
      redis.call('ZADD', lane .. ':chains:waits', now_ms() + delay, name)
    elseif delay > 0 then
      redis.call('ZADD', lane .. ':chains:due', now_ms() + delay, name)
    else
      chain_queue(lane, name)
    end
    redis.call('HSET', chain, 's' .. string.match(name, '^[%d_]+'), new)
  end
  if kind == 'a' then
    local count = #entry - 7
    redis.call('HSET', chain, field, entry[7], 'l' .. n, count, 'c' .. n, count, 'm' .. n, 0)
    for i = 1, count do
      local branch = entry[7 + i]
      local name = n .. '_' .. (i - 1) .. '.' .. id
      if branch[2] then
        redis.call('HSET', chain, 's' .. n .. '_' .. (i - 1), branch[1])
        redis.call('SADD', held, name)
      else
        put(name, branch[1], branch[3], branch[4])
      end
    end
    redis.call('SREM', held, strand)
    return '1'
  end
  if kind == 'f' then
    local step, attempt, crashes, _, phase, payload = chain_parts(value)
    redis.call('HSET', chain, field, table.concat({ step, attempt, crashes, 'F', phase, payload }, ' '))
    redis.call('SREM', held, strand)
    if redis.call('HGET', chain, 'state') ~= 'failed' then
      redis.call('HSET', chain, 'state', 'failed', 'error', entry[7], 'ended', now_ms())
      chain_ended(lane, id, 'failed', entry[8], keeps[2])
    end
    return '1'
  end
  redis.call('SREM', held, strand)
  if kind == 'q' then
    put(strand, entry[7], 0)
    return '1'
  end
  if kind == 'w' then
    put(strand, entry[7], entry[8], entry[9])
    return '1'
  end
  redis.call('HDEL', chain, field)
  if kind == 'd' then
    redis.call('HSET', chain, 'state', 'done', 'result', entry[7], 'ended', now_ms())
    chain_ended(lane, id, 'done', entry[8], keeps[1])
    return '1'
  end
  -- 'j'
  local step = string.match(fence, '^%d+')
  redis.call('HSET', chain, 'r' .. n, entry[7])
  if counts then
    redis.call('HINCRBY', chain, 'b' .. parent, bytes)
  end
  if tonumber(redis.call('HGET', chain, 'm' .. parent)) < tonumber(step) then
    redis.call('HSET', chain, 'm' .. parent, step)
  end
  if redis.call('HINCRBY', chain, 'l' .. parent, -1) > 0 then
    return '1'
  end
  local facts = redis.call('HMGET', chain, 's' .. parent, 'm' .. parent, 'c' .. parent)
  local _, _, _, _, _, join = chain_parts(facts[1])
  local names = {}
  for i = 1, tonumber(facts[3]) do
    names[i] = 'r' .. parent .. '_' .. (i - 1)
  end
  local results = redis.call('HMGET', chain, unpack(names))
  local call = { 'J', netstring(join) }
  for i = 1, #names do
    call[i + 2] = netstring(results[i])
  end
  redis.call('HDEL', chain, 'm' .. parent, 'c' .. parent, 'l' .. parent, 'b' .. parent, unpack(names))
  local next_value = (tonumber(facts[2]) + 1) .. ' 0 0 ' .. host .. ' r ' .. table.concat(call)
  redis.call('HSET', chain, 's' .. parent, next_value)
  redis.call('SADD', held, parent .. '.' .. id)
  return 'v', parent .. '.' .. id, next_value
end

local function chain_commit(keys, args)
  local lane, host = keys[1], args[1]
  local keeps = { args[2], args[3] }
  local letters, more = {}, {}
  for i, packed in ipairs(cmsgpack.unpack(args[5])) do
    local letter, a, b = commit(lane, host, packed, keeps)
    letters[i] = letter
    if a then
      more[#more + 1] = i
      more[#more + 1] = a
      more[#more + 1] = b
    end
  end
  if args[4] ~= '' then
    local stats, counts = lane .. ':chains:stats', cmsgpack.unpack(args[4])
    for i = 1, #counts, 4 do
      redis.call('HINCRBY', stats, 'n ' .. counts[i], counts[i + 1])
      redis.call('HINCRBY', stats, 'us ' .. counts[i], counts[i + 2])
      if counts[i + 3] > 0 then
        redis.call('HINCRBY', stats, 'f ' .. counts[i], counts[i + 3])
      end
    end
  end
  local reply = { table.concat(letters) }
  if #args > 5 then
    local namespace = chain_namespace(lane)
    for i = 6, #args do
      reply[i - 4] = kernel_tag(namespace, args[i])
    end
  end
  for i = 1, #more do
    reply[#reply + 1] = more[i]
  end
  return reply
end

gearmill.register('chain_commit', chain_commit)
