-- Runs the effects of records and tells what failed. Work: as many commands as the caller sends (it sends few).

local function netstring(text)
  text = tostring(text)
  return #text .. ':' .. text
end

-- `args[at ...]` holds, per record: its number, how many commands it has, and per command: how many arguments, then
-- these. Commands run in order; a record stops at its first error. `skip` names records that failed before.
-- Returns how many commands were applied, and what failed as a flat list: record, letter, ...; a letter is the
-- reason and the commands that were not applied, as netstrings.
local function run_effects(args, at, skip)
  local applied, failed = 0, {}
  while at <= #args do
    local record, commands = args[at], tonumber(args[at + 1])
    at = at + 2
    local reason = skip and skip[record]
    local letter
    if reason then
      letter = { netstring(reason) }
    end
    for _ = 1, commands do
      local count = tonumber(args[at])
      local command = {}
      for i = 1, count do
        command[i] = args[at + i]
      end
      at = at + count + 1
      if not letter then
        local ok, reply = pcall(redis.pcall, unpack(command))
        if not ok then
          reason = tostring(reply)
        elseif type(reply) == 'table' and reply.err then
          reason = reply.err
        end
        if reason then
          letter = { netstring(reason) }
        else
          applied = applied + 1
        end
      end
      if letter then
        letter[#letter + 1] = netstring(count)
        for i = 1, count do
          letter[#letter + 1] = netstring(command[i])
        end
      end
    end
    if letter then
      failed[#failed + 1] = record
      failed[#failed + 1] = table.concat(letter)
    end
  end
  return applied, failed
end
