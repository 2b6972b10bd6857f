-- The state machine of an execution, shared by the functions that move it.
--
-- States: waiting (submitted with a delay) -> running -> done | failed | aborted. One stage runs at a time; of its tasks
-- `open` are in the task stream (or delayed), `next` is the first one that never was, `left` are not committed.
-- Invariants: open <= window; left counts commits that are still to come; a stage ends when left is 0, the execution
-- when the last stage does. `epoch` grows when a lost block sends the execution back to an earlier stage: entries of
-- an older epoch are refused. While `rebuild` is set its stage only makes blocks again: effects and counters were
-- committed the first time. `resume` is the stage that goes on afterwards. `k<stage>.final` is set once a stage did what
-- cannot be taken back; until then it may begin anew. `a.<epoch>.<stage>.<name>`: what tasks of the stage agree on.
--
-- Keys: x = the execution's hash (it names its task stream and index); x:done = one bit a task; x:w = attempt that committed, where it was not the first;
-- x:e = tasks with failed records; x:letters = dead letters of effects; x:p = the program; x:k = what open tasks have lying
-- about: o.<task> = tokens of attempts with an outbox (x:o:<task>.<token>), m.<task> = slots with markers, t.<key> = a
-- temporary key of a sink. `run` is the server's run id at the submit: where it changed, the server may have gone back in time.
-- An execution whose `lease` is above 0 is local: its keys live one lease beyond the last sign of life of its client.

local function now_ms()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

local function number_of(x, field)
  return tonumber(redis.call('HGET', x, field) or '0') or 0
end

-- Keys that are made on the way expire with the client of a local execution.
local function expire_with(key, lease)
  if lease > 0 and redis.call('PTTL', key) == -1 then
    redis.call('PEXPIRE', key, lease)
  end
end

-- Whether an entry was handed out and not yet acknowledged, by whoever has it now.
local function is_open(tasks, entry)
  local pending = redis.pcall('XPENDING', tasks, 'gm', entry, entry, 1)
  return not pending.err and #pending > 0
end

-- Whether the server is still the run of it that a task built on ('' where it built on nothing).
local function is_same_run(run)
  return run == '' or string.match(redis.call('INFO', 'server'), 'run_id:(%x+)') == run
end

local function ensure_group(tasks)
  if redis.call('EXISTS', tasks) == 0 then
    redis.call('XGROUP', 'CREATE', tasks, 'gm', '0', 'MKSTREAM')
  end
end

-- Before tasks are added: an idle stream expires with its workers, one with remote tasks does not.
local function open_stream(x, tasks)
  ensure_group(tasks)
  local lease = number_of(x, 'lease')
  if lease > 0 then
    redis.call('PEXPIRE', tasks, lease)
  else
    redis.call('PERSIST', tasks)
  end
end

-- The bit of a stage's first task in x:done.
local function first_bit(x, stage)
  local bit = 0
  for k = 0, stage - 1 do
    bit = bit + number_of(x, 'c' .. k)
  end
  return bit
end

local function window_of(x, tasks)
  local live = tonumber(redis.call('GET', tasks .. ':n') or '0') or 0
  local window = live > 0 and math.max(2, 2 * live) or number_of(x, 'window')
  return window * number_of(x, 'boost')
end

-- Adds a task to the stream. `r` names its realm and `k` its kind, where workers must know them before they choose an executor.
local function add_task(x, tasks, stage, task, epoch, attempt, attempts)
  local fields = { 'x', '', 's', stage, 't', task, 'e', epoch, 'a', attempt }
  local facts = redis.call('HMGET', x, 'id', 'kind', 'realm')
  fields[2] = facts[1]
  if attempts then
    fields[#fields + 1] = 'c'
    fields[#fields + 1] = attempts
  end
  if facts[2] == 'script' then
    fields[#fields + 1] = 'k'
    fields[#fields + 1] = facts[2]
  end
  if facts[3] and facts[3] ~= '' then
    fields[#fields + 1] = 'r'
    fields[#fields + 1] = facts[3]
  end
  redis.call('XADD', tasks, '*', unpack(fields))
end

-- Lets tasks of the current stage in until the window is full. Work: at most 64 tasks a call.
local function admit(x, tasks)
  local state = redis.call('HMGET', x, 'stage', 'next', 'open', 'epoch', 'rebuild')
  local stage, next, open = tonumber(state[1]), tonumber(state[2]), tonumber(state[3])
  local count = number_of(x, 'c' .. stage)
  local window = window_of(x, tasks)
  local again = tonumber(state[4]) > 0 and tonumber(state[5]) ~= stage
  local base = again and first_bit(x, stage) or 0
  local admitted = 0
  if open < window and next < count then
    open_stream(x, tasks)
  end
  while open < window and next < count and admitted < 64 do
    if again then
      -- A stage that runs on after a rebuild: tasks that were committed stay so.
      local free = redis.call('BITPOS', x .. ':done', 0, base + next, base + count - 1, 'BIT')
      next = free < 0 and count or free - base
    end
    if next < count then
      add_task(x, tasks, stage, next, state[4], 1)
      next = next + 1
      open = open + 1
      admitted = admitted + 1
    end
  end
  redis.call('HSET', x, 'next', next, 'open', open)
  return admitted
end

local function begin_stage(x, tasks, stage)
  local count = number_of(x, 'c' .. stage)
  local left = count
  if number_of(x, 'epoch') > 0 and number_of(x, 'rebuild') ~= stage then
    local base = first_bit(x, stage)
    local last = base + count - 1
    -- Makes the string as long as its bits, so that BITPOS sees those that were never set.
    redis.call('SETBIT', x .. ':done', last, redis.call('GETBIT', x .. ':done', last))
    expire_with(x .. ':done', number_of(x, 'lease'))
    left = count - redis.call('BITCOUNT', x .. ':done', base, last, 'BIT')
  end
  redis.call('HSET', x, 'stage', stage, 'next', 0, 'open', 0, 'left', left)
  if left > 0 then
    admit(x, tasks)
  end
  return left
end

-- Removes the outboxes of a task, of the attempts that lost too, and its marker in the lane.
local function remove_outboxes(x, name)
  local tokens = redis.call('HGET', x .. ':k', 'o.' .. name)
  if not tokens then
    return
  end
  for token in string.gmatch(tokens, '%S+') do
    redis.call('UNLINK', x .. ':o:' .. name .. '.' .. token)
  end
  redis.call('UNLINK', x .. ':m:' .. name)
  redis.call('HDEL', x .. ':k', 'o.' .. name)
end

local function finish(x, events, state, failure)
  local now = now_ms()
  local fields = redis.call('HMGET', x, 'id', 'ttl', 'code', 'index', 'lease', 'tasks', 'realmkey', 'reply')
  local ttl, lease = tonumber(fields[2]), tonumber(fields[5])
  if lease > 0 then
    ttl = lease
  end
  redis.call('HSET', x, 'state', state, 'ended', now)
  if failure ~= '' then
    redis.call('HSET', x, 'failure', failure)
  end
  redis.call('HDEL', x, 'open', 'next', 'rebuild', 'resume')
  for _, field in ipairs(redis.call('HKEYS', x .. ':k')) do
    if string.sub(field, 1, 2) == 'o.' then
      remove_outboxes(x, string.sub(field, 3))
    end
  end
  for _, suffix in ipairs({ '', ':done', ':w', ':e', ':letters', ':p', ':k' }) do
    redis.call('PEXPIRE', x .. suffix, ttl)
  end
  if fields[3] and fields[3] ~= '' then
    redis.call('SREM', fields[3] .. ':r', fields[1])
    if redis.call('EXISTS', fields[3] .. ':r') == 0 then
      redis.call('PEXPIRE', fields[3], ttl)
    end
  end
  if fields[7] and fields[7] ~= '' then
    gearmill.leave_realm(fields[7], 'x.' .. fields[1])
  end
  if fields[8] and state ~= 'done' then
    -- Who waits for the answer of a script learns why there is none.
    redis.call('RPUSH', fields[8], '{"error":' .. failure .. '}')
    redis.call('PEXPIRE', fields[8], 60000)
  end
  -- Of local work the client keeps the keys alive, so it is listed for as long as any other.
  redis.call('ZADD', fields[4], now + tonumber(fields[2]), fields[1])
  redis.call('XADD', events, 'MAXLEN', '~', 1000, '*', 'x', fields[1], 'state', state)
  redis.call('PEXPIRE', events, lease > 0 and lease or math.max(ttl, 60000))
  if redis.call('XLEN', fields[6]) == 0 then
    redis.call('PEXPIRE', fields[6], ttl)
  end
end

-- Called when a stage has no task left: the next stage that has any begins, or the execution is done.
-- Returns 1 when it is done.
local function advance(x, tasks, events)
  local stage = number_of(x, 'stage')
  local last = number_of(x, 'stages') - 1
  local resume = redis.call('HGET', x, 'resume')
  if resume then
    redis.call('HDEL', x, 'resume', 'rebuild')
    stage = tonumber(resume) - 1
  end
  while stage < last do
    stage = stage + 1
    if begin_stage(x, tasks, stage) > 0 then
      return 0
    end
  end
  finish(x, events, 'done', '')
  return 1
end
