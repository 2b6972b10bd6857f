-- Starts a chain of kernels. For any client: FCALL gm_start 1 '<namespace>:{gm0}' kernel arg ...
-- Keys: <namespace>:{gm0}, and, to name the chain (the same name is the same chain), <namespace>:{gm0}:chain:<id>.
-- Args: kernel, arguments (texts; '@key' is the value of a key).
-- Returns the id of the chain: its answer is the first item of the list <namespace>:{gm0}:reply:<id>, as JSON {"ok": ...} or
-- {"error": {"code", "message", ...}}. Work: the arguments given.
local function start(keys, args)
  local lane = keys[1] or ''
  local tag = string.match(lane, '^.+:{(gm%d+)}$')
  if not tag then
    return redis.error_reply("ERR KERNEL_CALL the key names no lane: expected '<namespace>:{gm0}'")
  end
  if not args[1] or args[1] == '' then
    return redis.error_reply('ERR KERNEL_CALL the name of a kernel is missing')
  end
  if #args > 1000 then
    return redis.error_reply('ERR KERNEL_CALL more than 1000 arguments')
  end
  local id
  if keys[2] then
    local prefix = lane .. ':chain:'
    id = string.sub(keys[2], #prefix + 1)
    if string.sub(keys[2], 1, #prefix) ~= prefix or not string.match(id, '^[%w_.:-]+$') or #id > 128 then
      return redis.error_reply("ERR KERNEL_CALL the second key names no chain: expected '" .. prefix .. "<id>', an id of 1 to 128 letters, digits and _ . : -")
    end
  else
    local time = redis.call('TIME')
    local count = redis.call('INCR', lane .. ':chains:n')
    id = string.format('%x%05x.%x', time[1], time[2], count)
    if tag ~= 'gm0' then
      id = id .. '-' .. tag
    end
  end
  local call = { 'S' }
  for i = 1, #args do
    call[i + 1] = netstring(args[i])
  end
  chain_begin(lane, id, table.concat(call))
  return id
end

gearmill.public('start', start)
