-- Freezes the outbox of one attempt as the effects that count for its task, whoever applies them.
-- Keys: x, task stream, outbox. Args: entry, stage, task, epoch, attempt token, outbox ttl ms, slots that will hold
--       markers ('' where nobody needs to know), fields of the outbox, run id as in commit.
-- Returns the attempt token whose outbox counts; '' where the task was committed before or its execution does not run;
-- '?' where the outbox is incomplete, because the server went back in time while it was filled;
-- '-' where the task only makes lost blocks again: its effects were applied the first time. Work: constant.
local function freeze(keys, args)
  local x, stage, task = keys[1], tonumber(args[2]), tonumber(args[3])
  local state = redis.call('HMGET', x, 'state', 'epoch', 'rebuild', 'lease')
  if state[1] ~= 'running' or state[2] ~= args[4] or not is_open(keys[2], args[1]) then
    return ''
  end
  if tonumber(state[3]) == stage and redis.call('GETBIT', x .. ':done', first_bit(x, stage) + task) == 1 then
    return '-'
  end
  if redis.call('HLEN', keys[3]) ~= tonumber(args[8]) or not is_same_run(args[9]) then
    return redis.call('HGET', x, 'o.' .. args[2] .. '.' .. args[3]) or '?'
  end
  local name = args[2] .. '.' .. args[3]
  if redis.call('HSETNX', x, 'o.' .. name, args[5]) == 1 then
    redis.call('PEXPIRE', keys[3], args[6])
    if args[7] ~= '' then
      redis.call('HSET', x .. ':k', 'm.' .. name, args[7])
      expire_with(x .. ':k', tonumber(state[4]))
    end
    return args[5]
  end
  return redis.call('HGET', x, 'o.' .. name)
end

gearmill.register('freeze', freeze)
