-- Takes a name from the matrix that has it; its blocks are then to be removed.
-- Keys: index of names, what is on its way in or out. Args: name, id ('' whichever has the name).
-- Returns the description of the matrix, '' where no such matrix has the name. Work: constant.
local function matrix_forget(keys, args)
  local found = redis.call('HGET', keys[1], args[1]) or ''
  if found == '' then
    return ''
  end
  -- Something else may have written it.
  local is_json, description = pcall(cjson.decode, found)
  local id = is_json and type(description) == 'table' and description.id
  if args[2] ~= '' and id ~= args[2] then
    return ''
  end
  if type(id) == 'string' then
    redis.call('HSET', keys[2], id, found)
  end
  redis.call('HDEL', keys[1], args[1])
  return found
end

gearmill.register('matrix_forget', matrix_forget, { 'allow-oom' })
