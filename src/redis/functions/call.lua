-- Calls a command that was registered as a trigger. For any client: FCALL gm_call 1 '<namespace>:{gm0}' name arg ...
-- Keys: <namespace>:{gm0}. Args: name, arguments.
-- Returns the id of the call: the reply is the first item of the list <namespace>:{gm0}:reply:<id>, as JSON {"ok": ...} or
-- {"error": {"code", "message"}}. Work: the arguments given.
local function call(keys, args)
  local lane, name = keys[1] or '', args[1]
  if not string.match(lane, '^.+:{gm0}$') then
    return redis.error_reply("ERR TRIGGER_CALL expected the key '<namespace>:{gm0}', got '" .. lane .. "'")
  end
  if not name then
    return redis.error_reply('ERR TRIGGER_CALL the name of a command is missing')
  end
  local trigger = lane .. ':trigger:' .. gearmill.in_keys(name)
  local facts = redis.call('HMGET', trigger, 'kind', 'state')
  if facts[1] ~= 'command' or facts[2] == 'removed' then
    return redis.error_reply('ERR TRIGGER_UNKNOWN there is no command ' .. name)
  end
  if #args > 3000 then
    return redis.error_reply('ERR TRIGGER_CALL more than 3000 arguments')
  end
  local fields = { 'n', #args - 1 }
  for i = 2, #args do
    fields[#fields + 1] = 'a'
    fields[#fields + 1] = args[i]
  end
  -- Where the stream is missing, its slot is on its way to another server.
  local id = redis.call('XADD', trigger .. ':in', 'NOMKSTREAM', '*', unpack(fields))
  if not id then
    return redis.error_reply('TRYAGAIN the commands are moving')
  end
  return name .. '-' .. id
end

gearmill.public('call', call)
