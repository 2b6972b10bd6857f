-- Gives a worker its seats: renews the leases of those it holds, and hands out free ones up to its share. A seat is one of
-- the places at which a trigger runs; its fence (the time in microseconds) grows with each holder and each revision, so that
-- what an earlier one still does is refused.
-- Where there are key triggers, each primary has a seat for the tap that serves all of them.
-- Keys: registry, seats, live workers. Args: prefix of trigger keys, worker, lease ms, name of the taps' seats, primaries.
-- Returns { share, name, seat, fence, revision, state, ... }: every seat that is the worker's now. Work: the seats of all triggers.
local function trigger_seats(keys, args)
  local seats, live = keys[2], keys[3]
  local prefix, worker, lease = args[1], args[2], tonumber(args[3])
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  local new_fence = string.format('%.0f', time[1] * 1000000 + time[2])
  local names = redis.call('HKEYS', keys[1])
  if #names == 0 then
    return { 0 }
  end
  redis.call('ZADD', live, now + lease, worker)
  redis.call('ZREMRANGEBYSCORE', live, '-inf', '(' .. now)
  redis.call('PEXPIRE', live, lease * 10)
  local workers = redis.call('ZCARD', live)
  local all, total, held, reply = {}, 0, 0, { 0 }
  table.sort(names)
  local tapped = false
  for _, name in ipairs(names) do
    local trigger = redis.call('HMGET', prefix .. gearmill.in_keys(name), 'seats', 'rev', 'state', 'kind')
    if trigger[1] then
      if trigger[4] == 'keys' and trigger[3] ~= 'removed' and not tapped then
        tapped = true
        all[#all + 1] = { args[4], tonumber(args[5]), 'tap', 'running' }
        total = total + tonumber(args[5])
      end
      all[#all + 1] = { name, tonumber(trigger[1]), trigger[2], trigger[3] }
      if trigger[3] == 'running' then
        total = total + tonumber(trigger[1])
      end
    end
  end
  local share = math.ceil(total / workers)
  reply[1] = share
  local free = {}
  local current = {}
  for _, trigger in ipairs(all) do
    for seat = 0, trigger[2] - 1 do
      local field = seat .. '.' .. trigger[1]
      current[field] = true
      local holder, fence, until_ms, revision = string.match(redis.call('HGET', seats, field) or '', '^(%S+) (%d+) (%d+) (%S+)$')
      if holder == worker then
        if revision ~= trigger[3] then
          fence = new_fence
        end
        redis.call('HSET', seats, field, worker .. ' ' .. fence .. ' ' .. (now + lease) .. ' ' .. trigger[3])
        -- One that is about to end, however long its batch takes, keeps no other from running.
        if trigger[4] == 'running' then
          held = held + 1
        end
        for _, value in ipairs({ trigger[1], seat, fence, trigger[3], trigger[4] }) do
          reply[#reply + 1] = value
        end
      elseif trigger[4] == 'running' and (not holder or tonumber(until_ms) < now) then
        free[#free + 1] = { field, trigger, seat }
      end
    end
  end
  for _, seat in ipairs(free) do
    if held >= share then
      break
    end
    local fence = new_fence
    redis.call('HSET', seats, seat[1], worker .. ' ' .. fence .. ' ' .. (now + lease) .. ' ' .. seat[2][3])
    held = held + 1
    for _, value in ipairs({ seat[2][1], seat[3], fence, seat[2][3], seat[2][4] }) do
      reply[#reply + 1] = value
    end
  end
  return reply
end

gearmill.register('trigger_seats', trigger_seats)
