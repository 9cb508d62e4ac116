-- What a name holds, read when it is first needed and written when the call ends: nothing is
-- written before everything of the call has been decided.
local function is_listed(slot, type)
  return redis.call('ZSCORE', names.key(slot.tenant, 'names', type), slot.name)
end

-- A value that is gone without its name was removed by hand: to begin it anew would give its dots
-- again.
local function get(slot, type)
  local stored = redis.call('GET', names.key(slot.tenant, type, slot.name))
  if not stored and is_listed(slot, type) then damaged('it is not there any more') end
  return stored
end

function names.counter(slot)
  if slot.counter == nil then
    local stored = get(slot, 'counter')
    local counter = stored and counters.read(record.open(stored)) or counters.empty()
    slot.sum_h, slot.sum_l = counters.sum(counter)
    slot.exists = counters.exists(counter)
    slot.new_counter = not stored
    -- Increments that are not yet in `counter`: they become one when the call ends.
    slot.pending, slot.pending_h, slot.pending_l = 0, 0, 0
    slot.used, slot.ops = {}, {}
    slot.counter = counter
  end
  return slot.counter
end

function names.set(slot)
  if slot.set == nil then
    local stored = get(slot, 'set')
    local set = stored and sets.open_header(stored) or sets.empty()
    slot.new_set = not stored
    slot.found, slot.touched = {}, {}
    slot.stood, slot.rows = {}, {}
    slot.set = set
  end
  return slot.set
end

-- What stands as a whole in a record of its own.
local function whole(type, kind)
  return function(slot)
    if slot[type] == nil then
      local stored = get(slot, type)
      slot[type] = stored and kind.read(record.open(stored)) or kind.empty()
      slot['new_' .. type] = not stored
    end
    return slot[type]
  end
end

names.register = whole('register', registers)
names.flag = whole('flag', flags)
names.map = whole('map', maps)

-- The type that the name holds at the moment; nil: none.
function names.holds(slot)
  names.counter(slot)
  if slot.exists then return 'counter' end
  if names.set(slot).elements > 0 then return 'set' end
  if #names.register(slot).versions > 0 then return 'register' end
  if next(names.map(slot).root.children) then return 'map' end
  return nil
end

-- The claim of an operation id; nil: it is not known.
function names.op(slot, op_id)
  local known = slot.used[op_id]
  if known == nil then
    local stored = redis.call('HGET', names.key(slot.tenant, 'ops', slot.name), op_id)
    known = stored and claims.read(stored)
    slot.used[op_id] = known
  end
  return known or nil
end

-- How many operation ids are remembered, with those of this call. Those of before stand in a list.
function names.op_count(slot)
  if slot.op_count == nil then
    slot.op_count = redis.call('ZCARD', names.key(slot.tenant, 'op-stamps', slot.name))
    slot.former_ops = redis.call('LLEN', names.key(slot.tenant, 'op-order', slot.name))
    slot.op_count = slot.op_count + slot.former_ops
  end
  return slot.op_count
end

function names.use_op(slot, op_id, claim)
  local before, count = names.op(slot, op_id), names.op_count(slot)
  if before == nil then slot.op_count = count + 1 end
  slot.used[op_id] = claim
  slot.ops[#slot.ops + 1] = { op_id, claim, before }
end

local function list_name(slot, type)
  redis.call('SADD', REPLICA .. 'tenants', slot.tenant)
  redis.call('ZADD', names.key(slot.tenant, 'names', type), 0, slot.name)
end

-- Has the lists name what is there, should a hand have taken it from them. Returns whether it had.
function names.relist(slot)
  local is_missing = false
  for _, type in ipairs({ 'counter', 'set', 'register', 'flag', 'map' }) do
    if slot[type] ~= nil and not slot['new_' .. type] and not is_listed(slot, type) then
      slot['new_' .. type], slot['dirty_' .. type], is_missing = true, true, true
    end
  end
  return is_missing
end

local function put_in_order(slot, key, order)
  local former = names.key(slot.tenant, 'op-order', slot.name)
  for _, op_id in ipairs(redis.call('LRANGE', former, 0, -1)) do
    local stored = redis.call('HGET', key, op_id)
    if stored then redis.call('ZADD', order, 0, claims.read(stored).stamp .. op_id) end
  end
  redis.call('UNLINK', former)
end

local function write_ops(slot)
  if #slot.ops == 0 then return end
  local key = names.key(slot.tenant, 'ops', slot.name)
  local order = names.key(slot.tenant, 'op-stamps', slot.name)
  if slot.former_ops > 0 then put_in_order(slot, key, order) end
  for _, op in ipairs(slot.ops) do
    local op_id, claim, before = op[1], op[2], op[3]
    if before then redis.call('ZREM', order, before.stamp .. op_id) end
    redis.call('HSET', key, op_id, claims.seal(claim))
    redis.call('ZADD', order, 0, claim.stamp .. op_id)
  end
end

-- Writes what has changed. Returns whether anything had.
function names.write(slot)
  if slot.dirty_counter then
    local body = counters.encode(slot.counter)
    redis.call('SET', names.key(slot.tenant, 'counter', slot.name), record.seal(body))
    if slot.new_counter then list_name(slot, 'counter') end
    write_ops(slot)
  end
  if slot.dirty_set then
    elements.write(slot)
    if slot.new_set then list_name(slot, 'set') end
  end
  if slot.dirty_register then
    local body = registers.encode(slot.register)
    redis.call('SET', names.key(slot.tenant, 'register', slot.name), record.seal(body))
    if slot.new_register then list_name(slot, 'register') end
  end
  if slot.dirty_flag then
    local body = flags.encode(slot.flag)
    redis.call('SET', names.key(slot.tenant, 'flag', slot.name), record.seal(body))
    if slot.new_flag then list_name(slot, 'flag') end
  end
  if slot.dirty_map then
    local body = maps.encode(slot.map)
    redis.call('SET', names.key(slot.tenant, 'map', slot.name), record.seal(body))
    if slot.new_map then list_name(slot, 'map') end
  end
  return slot.dirty_counter or slot.dirty_set or slot.dirty_register or slot.dirty_flag or slot.dirty_map
end

-- What belongs to a value, beside its record.
local PARTS = { counter = { 'ops', 'op-stamps', 'op-order' }, set = { 'members' } }

-- Drops a value, as if the name had never held it.
function names.drop(slot, type)
  if type == 'set' then elements.drop(slot) end
  redis.call('UNLINK', names.key(slot.tenant, type, slot.name))
  for _, part in ipairs(PARTS[type] or {}) do
    redis.call('UNLINK', names.key(slot.tenant, part, slot.name))
  end
  redis.call('ZREM', names.key(slot.tenant, 'names', type), slot.name)
end
