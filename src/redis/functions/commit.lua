-- Commits one task: at most once, whoever tries. The acknowledgement decides; all else follows in the same call.
-- Keys: x, task stream, events, counters.
-- Args: entry, stage, task, epoch, attempt token ('1' the first), records in, records out, bytes, failed records,
--       written and failed records of an outbox that was applied, prefix of letters' names, run id of the server whose
--       temporary keys the effects use up ('' none), number of sums, name and amount of each ('.name': a whole number for
--       the stage's counters; else a counter of user code), then the effects as run_effects takes them.
-- Returns { status, done, applied }: status 1 committed; 0 refused (another attempt committed, or an older epoch);
-- -1 the execution is gone; -2 it is not running any more; -3 the server restarted, nothing was done: what the task
-- built may be incomplete. done is 1 where the execution ended with this commit.
-- Work: the effects given (the caller sends at most 256), the sums (one for each counter in use) and one window of tasks.
local function commit(keys, args)
  local x, tasks, events = keys[1], keys[2], keys[3]
  local entry, stage, task, epoch, attempt = args[1], tonumber(args[2]), tonumber(args[3]), args[4], args[5]
  if not is_same_run(args[13]) then
    return { -3, 0, 0 }
  end
  if redis.call('XACK', tasks, 'gm', entry) == 0 then
    return { 0, 0, 0 }
  end
  redis.call('XDEL', tasks, entry)
  local state = redis.call('HMGET', x, 'state', 'epoch', 'rebuild', 'lease', 'maxerr')
  if not state[1] then
    return { -1, 0, 0 }
  end
  if state[1] ~= 'running' then
    return { -2, 0, 0 }
  end
  if state[2] ~= epoch then
    return { 0, 0, 0 }
  end
  local name = stage .. '.' .. task
  local lease = tonumber(state[4])
  local rebuilt = tonumber(state[3]) == stage
  local applied = 0
  if not rebuilt then
    local failed
    local sums = tonumber(args[14])
    applied, failed = run_effects(args, 15 + 2 * sums)
    for i = 1, #failed, 2 do
      redis.call('HSET', x .. ':letters', args[12] .. failed[i], failed[i + 1])
    end
    local bad = tonumber(args[9]) + tonumber(args[11]) + #failed / 2
    applied = applied + tonumber(args[10])
    local s = 'k' .. stage
    redis.call('HINCRBY', x, s .. '.done', 1)
    redis.call('HINCRBY', x, s .. '.in', args[6])
    redis.call('HINCRBY', x, s .. '.out', args[7])
    redis.call('HINCRBY', x, s .. '.bytes', args[8])
    for i = 15, 13 + 2 * sums, 2 do
      if string.sub(args[i], 1, 1) == '.' then
        redis.call('HINCRBY', x, s .. args[i], args[i + 1])
      else
        -- No more digits than a number of JavaScript has; a counter that is not a number stays as it is.
        redis.pcall('HINCRBYFLOAT', keys[4], args[i], args[i + 1])
        expire_with(keys[4], lease)
        redis.call('HSET', x, s .. '.final', 1)
      end
    end
    if bad > 0 then
      redis.call('HINCRBY', x, 'errors', bad)
      redis.call('HINCRBY', x, s .. '.bad', bad)
    end
    if applied > 0 then
      redis.call('HINCRBY', x, 'written', applied)
    end
    if applied > 0 or #failed > 0 or tonumber(args[11]) > 0 then
      redis.call('HSET', x, s .. '.final', 1)
    end
    redis.call('SETBIT', x .. ':done', first_bit(x, stage) + task, 1)
    expire_with(x .. ':done', lease)
    if #failed > 0 then
      expire_with(x .. ':letters', lease)
    end
  end
  if tonumber(args[9]) > 0 then
    redis.call('HSET', x .. ':e', name, attempt)
    expire_with(x .. ':e', lease)
  end
  if attempt ~= '1' then
    redis.call('HSET', x .. ':w', name, attempt)
    expire_with(x .. ':w', lease)
  end
  redis.call('HDEL', x, 'o.' .. name)
  remove_outboxes(x, name)
  redis.call('HINCRBY', x, 'open', -1)
  local left = redis.call('HINCRBY', x, 'left', -1)
  local limit = tonumber(state[5])
  if limit >= 0 and number_of(x, 'errors') > limit then
    finish(x, events, 'failed', '{"code":"EXECUTION_FAILED","message":"more than ' .. limit .. ' records failed"}')
    return { 1, 1, applied }
  end
  if left == 0 then
    return { 1, advance(x, tasks, events), applied }
  end
  admit(x, tasks)
  return { 1, 0, applied }
end

gearmill.register('commit', commit)
