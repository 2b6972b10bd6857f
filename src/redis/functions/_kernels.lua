-- The state machine of a chain, shared by the functions that move it.
--
-- A chain is a hash: lane:chain:<id>. It has strands: '0', and after a fan-out '0_0', '0_1', ..., which may fan out again. The
-- field s<strand> is a strand's next step, '<step> <attempt> <crashes> <owner> <phase> <payload>':
--   owner: the host that runs it; '-' where it lies in the queue, waits until it is due, or for a key; 'F' where it failed;
--          'J' where it waits for its branches.
--   crashes: how often a host ended while the step ran; with a letter where it is known to be the reason: 't' it took too
--          long, 'm' too much memory.
--   phase: 'r' the payload is the call that is to run; 'o' it ran, and the payload is '<applied> <entry>': the commit
--          (chain_commit.lua) whose writes are yet to be applied from that one on.
-- Step, attempt, crashes, owner and phase are a fence: a commit names them, and whoever is late is refused.
-- State: running -> done | failed; failed -> running by chain_resume. Branches of a failed chain that still run go on, those of
-- one that was aborted (field 'aborted') do not.
-- k<strand>: the key that it waits for. d<strand>: when what waited is due, while its chain is aborted. l<strand>, m<strand>, c<strand>, b<strand>: branches that are left, highest step of
-- theirs, how many there were, and the bytes of their values; r<branch>: the last value of one.
-- Of a lane: chains:q (list: strands that are ready), chains:bell (list: somebody look), chains:due (sorted set: strands by
-- when they are due), chains:waits (the same, by when to look for their key again), chains:hosts (sorted set: hosts by the
-- end of their lease), chains:h:<host> (set: strands of a host), chains:stats (hash).

local longest_trace = 10000
local longest_source = 1048576
-- Values of the branches of one fan-out: they become one call.
local longest_join = 16 * 1048576

-- Puts a strand into the queue. The bell wakes one worker; one that is not heard costs a second.
local function chain_queue(lane, strand)
  redis.call('RPUSH', lane .. ':chains:q', strand)
  local bell = lane .. ':chains:bell'
  if redis.call('LLEN', bell) < 16 then
    redis.call('RPUSH', bell, '1')
    redis.call('PEXPIRE', bell, 60000)
  end
end

-- The fence and the payload of a strand: step, attempt, crashes, owner, phase, payload.
local function chain_parts(value)
  return string.match(value, '^(%d+) (%d+) (%d+%a?) (%S+) (%a) (.*)$')
end

-- Strand and chain of a name like '0_1.some-id'.
local function chain_of(strand)
  return string.match(strand, '^([%d_]+)%.(.*)$')
end

local function chain_begin(lane, id, call)
  local chain = lane .. ':chain:' .. id
  if redis.call('HSETNX', chain, 'state', 'running') == 0 then
    return false
  end
  redis.call('HSET', chain, 'created', now_ms(), 's0', '1 0 0 - r ' .. call)
  chain_queue(lane, '0.' .. id)
  return true
end

-- The end of a chain, or its failure: tells who waits.
local function chain_ended(lane, id, state, reply, keep)
  local chain = lane .. ':chain:' .. id
  redis.call('PEXPIRE', chain, keep)
  redis.call('PEXPIRE', chain .. ':t', keep)
  local answer = lane .. ':reply:' .. id
  redis.call('RPUSH', answer, reply)
  redis.call('PEXPIRE', answer, keep)
  redis.call('XADD', lane .. ':e:chains', 'MAXLEN', '~', 1000, '*', 'x', id, 'state', state)
  redis.call('PEXPIRE', lane .. ':e:chains', keep)
end

-- The namespace of a lane.
local function chain_namespace(lane)
  return string.match(lane, '^(.*):{[^{}]+}$')
end

-- SHA-1 of a kernel as it is now: its source, options and signature; '' where there is none. First what the API wrote, then
-- the key of that name. Only without a cluster: there the keys are elsewhere.
local function kernel_tag(namespace, name)
  local key = namespace .. ':kernel:' .. name
  local fields = redis.pcall('HMGET', key, 'source', 'options', 'signature')
  if fields.err then
    local source = redis.pcall('GET', key)
    fields = { type(source) == 'string' and source }
  end
  if not fields[1] then
    -- Any client's key: what is too long is no kernel.
    local length = redis.pcall('STRLEN', name)
    if type(length) ~= 'number' or length == 0 or length > longest_source then
      return ''
    end
    local source = redis.pcall('GET', name)
    fields = { type(source) == 'string' and source }
  end
  if not fields[1] then
    return ''
  end
  return redis.sha1hex(fields[1] .. '\0' .. (fields[2] or '') .. '\0' .. (fields[3] or ''))
end
