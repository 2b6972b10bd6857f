-- Ends a chain that runs or waits: what its strands still do is refused. A step that is decided (phase 'o') is applied, nothing
-- follows it. What waits for a time or a key waits on when the chain is resumed.
-- Keys: lane. Args: id, error (JSON), reply, ms that it is kept.
-- Returns 1; 0 where it has ended, -1 where there is no such chain. Work: the strands of a chain.
local function chain_abort(keys, args)
  local lane, id = keys[1], args[1]
  local chain = lane .. ':chain:' .. id
  local state = redis.call('HGET', chain, 'state')
  if state ~= 'running' then
    return state and 0 or -1
  end
  local fields = redis.call('HGETALL', chain)
  for i = 1, #fields, 2 do
    local n = string.match(fields[i], '^s(%d[%d_]*)$')
    if n then
      local step, attempt, _, owner, phase, payload = chain_parts(fields[i + 1])
      if owner ~= 'J' and phase ~= 'o' then
        redis.call('HSET', chain, fields[i], table.concat({ step, attempt, 0, 'F', phase, payload }, ' '))
        for _, aside in ipairs({ lane .. ':chains:due', lane .. ':chains:waits' }) do
          local due = redis.call('ZSCORE', aside, n .. '.' .. id)
          if due then
            redis.call('HSET', chain, 'd' .. n, due)
            redis.call('ZREM', aside, n .. '.' .. id)
          end
        end
      end
    end
  end
  redis.call('HSET', chain, 'state', 'failed', 'aborted', '1', 'error', args[2], 'ended', now_ms())
  chain_ended(lane, id, 'failed', args[3], args[4])
  return 1
end

gearmill.register('chain_abort', chain_abort)
