-- Stores a kernel; earlier versions are kept.
-- Keys: kernel. Args: source, options (JSON), signature ('' none), hash, versions to keep.
-- Returns 1; 0 where it is this version already. Work: the versions kept.
local function kernel_put(keys, args)
  local key = keys[1]
  if redis.call('TYPE', key)['ok'] ~= 'hash' then
    -- A client's plain SET, which has no versions; or what is no kernel at all.
    redis.call('DEL', key)
  end
  local there = redis.call('HMGET', key, 'source', 'options', 'signature', 'versions')
  if there[1] == args[1] and there[2] == args[2] and (there[3] or '') == args[3] then
    return 0
  end
  local versions = {}
  for hash in string.gmatch(there[4] or '', '%S+') do
    if hash ~= args[4] then
      versions[#versions + 1] = hash
    end
  end
  versions[#versions + 1] = args[4]
  while #versions > tonumber(args[5]) do
    redis.call('HDEL', key, 'v ' .. table.remove(versions, 1))
  end
  redis.call('HSET', key, 'source', args[1], 'options', args[2], 'versions', table.concat(versions, ' '))
  redis.call('HSET', key, 'v ' .. args[4], cmsgpack.pack({ now_ms(), args[2], args[1] }))
  if args[3] == '' then
    redis.call('HDEL', key, 'signature')
  else
    redis.call('HSET', key, 'signature', args[3])
  end
  return 1
end

gearmill.register('kernel_put', kernel_put)
