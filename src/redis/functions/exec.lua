-- Runs a script on a worker. For any client:
-- FCALL gm_exec 1 '<namespace>:{gm0}' SCRIPT [UNBLOCKING] [ID id] [TIMEOUT ms] [SIGNATURE hex]
-- Keys: <namespace>:{gm0}. Args: as above. TIMEOUT: 300000 where it is not given, 0: none. SIGNATURE: see docs/scripts.md.
-- Returns the id of the execution; one that is there already is not run again. Unless UNBLOCKING, the reply is the first item
-- of the list <namespace>:{gm0}:reply:<id>, as JSON {"ok": ...} or {"error": {"code", "message", "line"}}. Work: constant.
local function exec(keys, args)
  local lane, script = keys[1] or '', args[1]
  if not string.match(lane, '^.+:{gm0}$') then
    return redis.error_reply("ERR PLAN_OPTION expected the key '<namespace>:{gm0}', got '" .. lane .. "'")
  end
  local id, timeout, signature, unblocking = nil, '300000', '', false
  local i = 2
  while i <= #args do
    local option, value = string.upper(args[i]), args[i + 1] or ''
    if option == 'UNBLOCKING' then
      unblocking = true
      i = i - 1
    elseif option == 'ID' and #value <= 128 and string.match(value, '^[%w_.:-]+$') and not string.match(value, '%-gm%d+$') then
      id = value
    elseif option == 'TIMEOUT' and string.match(value, '^%d+$') then
      timeout = value
    elseif option == 'SIGNATURE' and string.match(value, '^%x+$') then
      signature = value
    else
      return redis.error_reply('ERR PLAN_OPTION expected UNBLOCKING, ID id, TIMEOUT ms or SIGNATURE hex, got ' .. option .. ' ' .. value)
    end
    i = i + 2
  end
  if not script or script == '' then
    return redis.error_reply('ERR PLAN_OPTION the script is missing')
  end
  local x = lane .. ':x:'
  local time = redis.call('TIME')
  local serial = time[1] * 1000000 + time[2]
  while not id or (redis.call('EXISTS', x .. id) == 1 and string.sub(id, 1, 2) == 's.') do
    id = 's.' .. string.format('%.0f', serial)
    serial = serial + 1
  end
  x = x .. id
  -- The group of `gearmill worker`, or one whose workers say that they run scripts.
  local groups = lane .. ':groups'
  local allowing = redis.call('ZRANGE', groups .. ':scripts', string.format('%.0f', now_ms()), '+inf', 'BYSCORE')
  local group, lease = 'remote', 0
  local live = redis.call('ZSCORE', groups, 'remote')
  local is_allowing = false
  for _, name in ipairs(allowing) do
    is_allowing = is_allowing or name == 'remote'
  end
  if allowing[1] and not is_allowing and not (live and signature ~= '') then
    -- It is kept by the process that runs it, from then on.
    group, lease = allowing[1], 60000
  end
  if redis.call('EXISTS', x) == 0 then
    redis.call('SET', x .. ':p', cjson.encode({ script = script, signature = signature, reply = not unblocking }))
    local reply = unblocking and {} or { 'reply', lane .. ':reply:' .. id }
    submit(
      { x, lane .. ':t:' .. group, lane .. ':d:' .. group, lane .. ':e:' .. group, lane .. ':i:' .. group },
      { id, 'script', group, 3600000, lease, 2, 0, timeout, 1, 0, -1, 0, 1, 'stages', 1, 'c0', 1, 'p0', 1, unpack(reply) }
    )
  end
  return id
end

gearmill.public('exec', exec)
