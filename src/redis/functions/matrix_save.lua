-- Gives a matrix its name, which it takes from the one that has it.
-- Keys: index of names, what is on its way in or out. Args: name, id, description.
-- Returns the description of the matrix that had the name, '' where there was none. The other matrix goes to what is on its
-- way out. Work: constant.
local function matrix_save(keys, args)
  local before = redis.call('HGET', keys[1], args[1]) or ''
  redis.call('HSET', keys[1], args[1], args[3])
  redis.call('HDEL', keys[2], args[2])
  if before ~= '' and cjson.decode(before).id ~= args[2] then
    redis.call('HSET', keys[2], cjson.decode(before).id, before)
    return before
  end
  return ''
end

gearmill.register('matrix_save', matrix_save)
