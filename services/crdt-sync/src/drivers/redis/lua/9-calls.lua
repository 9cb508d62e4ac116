-- The functions. Arguments are texts, in the order in which they are read.

local function call_of(args)
  local call = { args = args, at = 0 }
  call.incarnation_hex = next_of(call)
  call.incarnation = call.incarnation_hex:gsub('..', function(hex) return char(tonumber(hex, 16)) end)
  call.replica, call.now = next_of(call), next_of(call)
  call.set_elements_max, call.set_bytes_max = number_of(call), number_of(call)
  call.op_ids_max = number_of(call)
  call.slots = {}
  for i = 1, number_of(call) do
    call.slots[i] = { tenant = next_of(call), name = next_of(call) }
  end
  return call
end

local function count_commits(incarnation, commits, clock)
  local value = record.seal_bare(string.format('%.0f', commits) .. ' ' .. clock)
  redis.call('HSET', REPLICA .. 'incarnations', incarnation, value)
end

-- Writes the names, and what is kept of incarnations: their commits and the clock's last stamp.
local function finish(call, must_write)
  local written = must_write
  for _, slot in ipairs(call.slots) do
    if call.incarnation and slot.counter ~= nil then flush(call, slot) end
    if names.write(slot, call.op_ids_max) then written = true end
  end
  if not written then return 0 end
  if call.ticked then redis.call('SET', REPLICA .. 'clock', call.clock) end
  local clock = call.clock or redis.call('GET', REPLICA .. 'clock') or string.rep('0', 16)
  if not call.known then
    local before = redis.call('HGET', REPLICA .. 'incarnations', call.incarnation_hex)
    call.known = { { call.incarnation_hex, (before and tonumber(before:match('^..(%d+) ')) or 0) + 1 } }
  end
  for _, known in ipairs(call.known) do count_commits(known[1], known[2], clock) end
  return 1
end

-- Every command is tried; a stored value that is damaged fails the commands that need it, and
-- anything else that goes wrong fails the call before it has written.
local function attempt(handler, call, slot)
  local ok, result = pcall(handler, call, slot)
  if ok then return result end
  -- A text or a table, as the server's version has it.
  local text = tostring(type(result) == 'table' and result.err or result)
  if sub(text, 1, 8) == 'DAMAGED ' then return { 'storage_damaged', sub(text, 9) } end
  -- Somebody has put a value of another of Redis's types there.
  if text:match('^%-?WRONGTYPE') then return { 'storage_damaged', 'a key has another type' } end
  error(result, 0)
end

local READS = {
  ['counter-get'] = true,
  ['set-has'] = true,
  ['set-get'] = true,
  ['register-get'] = true,
}

local function run(args, reads_only)
  local call = call_of(args)
  local must_write, results = next_of(call) == '1', {}
  for i = 1, number_of(call) do
    local type, slot, words = next_of(call), call.slots[number_of(call)], number_of(call)
    local behind = call.at + words
    if reads_only and not READS[type] then error('ERR a mutation among reads', 0) end
    results[i] = attempt(commands[type], call, slot)
    call.at = behind
  end
  return { reads_only and 0 or finish(call, must_write), results }
end

local function join(_, args)
  local call = call_of(args)
  call.clock, call.known = next_of(call), {}
  for i = 1, number_of(call) do call.known[i] = { next_of(call), number_of(call) } end
  call.ticked = less(redis.call('GET', REPLICA .. 'clock') or '', call.clock)
  for _ = 1, number_of(call) do
    local type, slot = next_of(call), call.slots[number_of(call)]
    joins[type](call, slot)
  end
  return finish(call, true)
end

-- Hash fields of several keys, at one moment.
local function fields(_, args)
  local found = {}
  for i = 1, #args, 2 do found[#found + 1] = redis.call('HGET', args[i], args[i + 1]) end
  return found
end

-- Names of one type in order, each with its record.
local function list(_, args)
  local tenant, type, from, limit = args[1], args[2], args[3], args[4]
  local key = names.key(tenant, 'names', type)
  local found = {}
  for _, name in ipairs(redis.call('ZRANGEBYLEX', key, from, '+', 'LIMIT', 0, limit)) do
    found[#found + 1] = name
    found[#found + 1] = redis.call('GET', names.key(tenant, type, name))
  end
  return found
end

-- A set's header and all its elements with their records, at one moment.
local function whole_set(_, args)
  local tenant, name = args[1], args[2]
  local elements = redis.call('HGETALL', names.key(tenant, 'elements', name))
  return {
    redis.call('GET', names.key(tenant, 'set', name)),
    elements,
    redis.call('ZCARD', names.key(tenant, 'members', name)),
  }
end

-- All that a name holds, at one moment.
local function state(_, args)
  local tenant, name = args[1], args[2]
  return {
    redis.call('GET', names.key(tenant, 'counter', name)),
    redis.call('GET', names.key(tenant, 'set', name)),
    redis.call('HGETALL', names.key(tenant, 'elements', name)),
    redis.call('GET', names.key(tenant, 'register', name)),
    redis.call('HGETALL', names.key(tenant, 'ops', name)),
  }
end

return {
  execute = function(_, args) return run(args, false) end,
  read = function(_, args) return run(args, true) end,
  join = join,
  fields = fields,
  list = list,
  set = whole_set,
  state = state,
}
