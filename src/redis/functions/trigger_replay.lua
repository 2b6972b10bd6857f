-- Takes dead letters out, to be tried again: events go back to the retries, commands that were not applied to an outbox.
-- Keys: dead letters, retries, due times, outboxes. Args: field, letter, outbox ('' an event) of each. A letter that changed
-- in the meantime stays.
-- Returns how many. Work: the letters given.
local function trigger_replay(keys, args)
  local taken = 0
  for i = 1, #args, 3 do
    local field, letter, outbox = args[i], args[i + 1], args[i + 2]
    if redis.call('HGET', keys[1], field) == letter then
      redis.call('HDEL', keys[1], field)
      taken = taken + 1
      if outbox ~= '' then
        -- A name of its own: markers of an earlier replay of the same field may still be there.
        redis.call('HSET', keys[4], now_ms() .. '.' .. field, outbox)
      else
        local record = string.match(letter, '^R%d+ %d+ (.*)$')
        redis.call('HSET', keys[2], field, '0 ' .. record)
        redis.call('ZADD', keys[3], gearmill.before_windows(0), field)
      end
    end
  end
  return taken
end

gearmill.register('trigger_replay', trigger_replay)
