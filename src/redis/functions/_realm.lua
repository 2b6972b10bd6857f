-- Realms: who keeps one, and which processes have it loaded. `r` is a hash (memory = limit of executors of its own in MiB, 0: it has none;
-- peak = most bytes that its processes had); r:owners a sorted set of those that keep it (client, execution, trigger), by when they
-- expire (inf: until they leave); r:live a hash: process -> "bytes until". All go with the last owner.

-- Forgets owners that expired, and the realm with the last of them. Returns how many are left. Work: the owners that expired.
local function tidy_realm(r)
  local owners = r .. ':owners'
  redis.call('ZREMRANGEBYSCORE', owners, '-inf', '(' .. now_ms())
  local last = redis.call('ZRANGE', owners, -1, -1, 'WITHSCORES')
  if not last[1] then
    redis.call('UNLINK', r, owners, r .. ':live')
    return 0
  end
  for _, suffix in ipairs({ '', ':owners', ':live' }) do
    if last[2] == 'inf' then
      redis.call('PERSIST', r .. suffix)
    else
      redis.call('PEXPIREAT', r .. suffix, last[2])
    end
  end
  return redis.call('ZCARD', owners)
end

-- Makes `owner` keep the realm for `ttl` ms (0: until it leaves). `memory` counts where the realm is new. Returns the realm's own.
function gearmill.own_realm(r, owner, ttl, memory)
  tidy_realm(r)
  if redis.call('HSETNX', r, 'memory', memory) == 1 then
    redis.call('HSET', r, 'peak', 0)
  end
  redis.call('ZADD', r .. ':owners', ttl > 0 and string.format('%.0f', now_ms() + ttl) or '+inf', owner)
  tidy_realm(r)
  return tonumber(redis.call('HGET', r, 'memory'))
end

function gearmill.leave_realm(r, owner)
  redis.call('ZREM', r .. ':owners', owner)
  return tidy_realm(r)
end
