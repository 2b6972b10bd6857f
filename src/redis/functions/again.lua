-- A stage begins anew: what its tasks have read does not fit together, and nothing of it is beyond recall.
-- Keys: x, task stream. Args: epoch in which that was found, stage, how often an execution may go back.
-- Returns 1 where the stage began anew; 0 where the execution went another way before, or is over; -1 where the stage cannot
-- be done again: it applied effects, its user code counted, or the execution went back too often.
-- Work: the fields of x and its tables, the tasks of the stage.
local function again(keys, args)
  local x, tasks, stage = keys[1], keys[2], tonumber(args[2])
  local state = redis.call('HMGET', x, 'state', 'epoch', 'stage', 'rebuild', 'k' .. stage .. '.bad')
  if state[1] ~= 'running' or state[2] ~= args[1] or tonumber(state[3]) ~= stage then
    return 0
  end
  if tonumber(state[2]) >= tonumber(args[3]) then
    return -1
  end
  if tonumber(state[4]) ~= stage then
    local s = 'k' .. stage .. '.'
    local forgotten = {}
    for _, field in ipairs(redis.call('HKEYS', x)) do
      -- What is frozen may have been applied in part.
      if field == s .. 'final' or string.sub(field, 1, 3 + #args[2]) == 'o.' .. stage .. '.' then
        return -1
      end
      if string.sub(field, 1, #s) == s then
        table.insert(forgotten, field)
      end
    end
    for _, field in ipairs(forgotten) do
      redis.call('HDEL', x, field)
    end
    if state[5] then
      redis.call('HINCRBY', x, 'errors', '-' .. state[5])
    end
    for _, suffix in ipairs({ ':e', ':w' }) do
      for _, field in ipairs(redis.call('HKEYS', x .. suffix)) do
        if string.sub(field, 1, 1 + #args[2]) == stage .. '.' then
          redis.call('HDEL', x .. suffix, field)
        end
      end
    end
    local base = first_bit(x, stage)
    for task = 0, number_of(x, 'next') - 1 do
      redis.call('SETBIT', x .. ':done', base + task, 0)
    end
  end
  redis.call('HINCRBY', x, 'epoch', 1)
  begin_stage(x, tasks, stage)
  return 1
end

gearmill.register('again', again)
