-- Starts a chain of kernels whose arguments are packed.
-- Keys: lane. Args: id, call.
-- Returns 1; 0 where a chain of that id is there already. Work: constant.
local function chain_start(keys, args)
  return chain_begin(keys[1], args[1], args[2]) and 1 or 0
end

gearmill.register('chain_start', chain_start)
