-- Gives a matrix its name, which it takes from the one that has it.
-- Keys: index of names, what is on its way in or out. Args: name, id, description.
-- Returns the description of the matrix that had the name, '' where there was none. The other matrix goes to what is on its
-- way out. Work: constant.
local function matrix_save(keys, args)
  local before = redis.call('HGET', keys[1], args[1]) or ''
  redis.call('HSET', keys[1], args[1], args[3])
  redis.call('HDEL', keys[2], args[2])
  -- Something else may have written it.
  local is_json, description = pcall(cjson.decode, before)
  local id = is_json and type(description) == 'table' and description.id
  if type(id) == 'string' and id ~= args[2] then
    redis.call('HSET', keys[2], id, before)
    return before
  end
  return ''
end

gearmill.register('matrix_save', matrix_save)
