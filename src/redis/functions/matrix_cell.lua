-- Overwrites the bytes of one cell in a block, where the block is there and has the length that it should have.
-- Keys: the block. Args: its length, where the cell begins, the cell's bytes.
-- Returns the block's length (0: there is none); nothing was written where that is not what was given. Work: constant.
local function matrix_cell(keys, args)
  local length = redis.call('STRLEN', keys[1])
  if length == tonumber(args[1]) then
    redis.call('SETRANGE', keys[1], args[2], args[3])
  end
  return length
end

gearmill.register('matrix_cell', matrix_cell)
