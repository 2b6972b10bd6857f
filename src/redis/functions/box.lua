-- Puts chunks into the outbox of one attempt. The execution notes that it has the outbox: so it is kept alive, and goes
-- with its task, whichever attempt commits.
-- Keys: x, task stream, outbox. Args: entry, task as <stage>.<task>, attempt token, ttl ms, then fields and values.
-- Returns 1; 0 where the entry is not open any more: nobody would read the outbox. Work: the fields given.
local function box(keys, args)
  local x = keys[1]
  if not is_open(keys[2], args[1]) then
    return 0
  end
  local field, token = 'o.' .. args[2], args[3]
  local tokens = redis.call('HGET', x .. ':k', field) or ''
  if not string.find(' ' .. tokens .. ' ', ' ' .. token .. ' ', 1, true) then
    redis.call('HSET', x .. ':k', field, tokens == '' and token or tokens .. ' ' .. token)
    expire_with(x .. ':k', number_of(x, 'lease'))
  end
  for i = 5, #args, 2 do
    redis.call('HSET', keys[3], args[i], args[i + 1])
  end
  redis.call('PEXPIRE', keys[3], args[4])
  return 1
end

gearmill.register('box', box)
