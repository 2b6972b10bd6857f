-- Stores a trigger, or replaces the one of that name. Its program and code were written before.
-- Keys: registry, trigger, events, program, code (program again where there is none).
-- Args: name, kind, version, revision, seats, options (JSON), source (JSON), realm (JSON; '' none), its key.
-- Returns { 1, program and code of the revision that was replaced }; { -1, version } where a higher version is there;
-- { -2 } where program or code expired before; { -3, kind } where the name belongs to a trigger of another kind; { -4 } where
-- the trigger of that name is being removed. Work: constant.
local function trigger_put(keys, args)
  local registry, trigger = keys[1], keys[2]
  local there = redis.call('HMGET', trigger, 'version', 'kind', 'program', 'code', 'state', 'realmkey', 'removing')
  if there[5] == 'removed' and tonumber(there[7] or '0') > now_ms() then
    return { -4 }
  end
  if there[1] and tonumber(there[1]) > tonumber(args[3]) then
    return { -1, there[1] }
  end
  if there[2] and there[2] ~= args[2] then
    return { -3, there[2] }
  end
  if redis.call('EXISTS', keys[4]) == 0 or redis.call('EXISTS', keys[5]) == 0 then
    return { -2 }
  end
  local state = there[5] == 'paused' and 'paused' or 'running'
  redis.call('PERSIST', keys[4])
  redis.call('PERSIST', keys[5])
  redis.call('HSET', trigger, 'name', args[1], 'kind', args[2], 'version', args[3], 'rev', args[4], 'seats', args[5],
    'options', args[6], 'source', args[7], 'program', keys[4], 'code', keys[5] == keys[4] and '' or keys[5],
    'state', state, 'reason', '', 'updated', now_ms())
  redis.call('HSETNX', trigger, 'created', now_ms())
  redis.call('HSET', trigger, 'realm', args[8], 'realmkey', args[9])
  if args[8] ~= '' then
    gearmill.own_realm(args[9], 't.' .. args[1], 0, cjson.decode(args[8]).memoryMb or 0)
  end
  if there[6] and there[6] ~= '' and there[6] ~= args[9] then
    gearmill.leave_realm(there[6], 't.' .. args[1])
  end
  redis.call('HSET', registry, args[1], args[4])
  redis.call('XADD', keys[3], 'MAXLEN', '~', 100, '*', 'n', args[1])
  return { 1, there[3] or '', there[4] or '' }
end

gearmill.register('trigger_put', trigger_put)
