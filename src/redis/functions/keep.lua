-- Keeps the keys of a client's local executions alive for one more lease, and what their open tasks have lying about.
-- Keys: the keys; one that ends in ':k' names outboxes and markers (see _execution.lua). Args: lease ms.
-- Returns the temporary keys that the caller must keep alive itself: they may be of other slots. Work: one command a key
-- and an outbox of an open task.
local function keep(keys, args)
  local elsewhere = {}
  for _, key in ipairs(keys) do
    redis.call('PEXPIRE', key, args[1])
    if string.sub(key, -2) == ':k' then
      local x = string.sub(key, 1, -3)
      local noted = redis.call('HGETALL', key)
      for i = 1, #noted, 2 do
        local kind, name = string.sub(noted[i], 1, 2), string.sub(noted[i], 3)
        if kind == 'o.' then
          redis.call('PEXPIRE', x .. ':m:' .. name, args[1])
          for token in string.gmatch(noted[i + 1], '%S+') do
            redis.call('PEXPIRE', x .. ':o:' .. name .. '.' .. token, args[1])
          end
        elseif kind == 't.' then
          elsewhere[#elsewhere + 1] = name
        end
      end
    end
  end
  return elsewhere
end

-- A server without room must not forget what waits for room.
gearmill.register('keep', keep, { 'allow-oom' })
