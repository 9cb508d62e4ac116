-- What services/crdt-sync/src/domain/apply.ts does with one command, on the server. A handler gives
-- a number; {number}: the same with the command's flag raised; a text: a value; {number, text}: both;
-- false: nothing; or {code, detail}: a refusal, after which nothing has changed.
local commands = {}
local KIND = { [''] = 0, g = 1, pn = 2 }

-- A reader of the call's arguments.
local function next_of(call)
  call.at = call.at + 1
  return call.args[call.at]
end

local function number_of(call)
  return tonumber(next_of(call))
end

-- The first digits of the hashes of elements, in their order.
local function read_places(slot, places, list)
  for i, element in ipairs(list) do
    slot.places[element] = sub(places, (i - 1) * PLACE_DIGITS + 1, i * PLACE_DIGITS)
  end
end

local function texts_of(call)
  local list = {}
  for i = 1, number_of(call) do list[i] = next_of(call) end
  return list
end

local function elements_of(call, slot)
  local list = texts_of(call)
  read_places(slot, next_of(call), list)
  return list
end

-- 16 hex digits; higher than every stamp that this Redis has given before.
local function stamp_of(call)
  local last = call.clock or redis.call('GET', REPLICA .. 'clock') or string.rep('0', 16)
  local h, l = normal(tonumber(sub(last, 1, 8), 16), tonumber(sub(last, 9, 16), 16) + 1)
  local following = string.format('%08x%08x', h, l)
  call.clock = less(following, call.now) and call.now or following
  call.ticked = true
  return call.clock
end

local function wrong_type(slot, type)
  local holds = names.holds(slot)
  if holds ~= nil and holds ~= type then return { 'wrong_type', holds } end
  return nil
end

local function value_of(slot)
  if not is_safe(slot.sum_h, slot.sum_l) then return nil end
  return slot.sum_h * TWO32 + slot.sum_l
end

local OUT_OF_RANGE = { 'counter_overflow', '' }

local function flush(call, slot)
  if slot.pending == 0 then return end
  counters.increment(slot.counter, call.incarnation, slot.pending_h, slot.pending_l, 2)
  slot.pending, slot.pending_h, slot.pending_l = 0, 0, 0
  if slot.delta then slot.delta.incremented = true end
end

-- Which limit keeps a counter from remembering another operation id; nil: none.
local function memory_full(call, slot)
  if names.op_count(slot) >= call.op_ids_max then return 'op_ids_per_counter_max' end
  local contested = 0
  for _ in pairs(slot.counter.contested) do contested = contested + 1 end
  if contested >= call.contested_ids_max then return 'contested_ids_per_counter_max' end
  return nil
end

local function commits_of(incarnation)
  local stored = redis.call('HGET', REPLICA .. 'incarnations', incarnation)
  return stored and tonumber(stored:match('^..(%d+) ')) or 0
end

-- All increments up to the next flush are one of their incarnation, so its number is known already.
local function claim_op(call, slot, op_id, by)
  call.commit = call.commit or commits_of(call.incarnation_hex) + 1
  names.use_op(slot, op_id, {
    by = by,
    stamp = stamp_of(call),
    incarnation = call.incarnation,
    seq = counters.next_seq(slot.counter, call.incarnation),
    commit = call.commit,
  })
end

function commands.increment(call, slot)
  local by, kind, op_id = number_of(call), KIND[next_of(call)], next_of(call)
  local counter = names.counter(slot)
  local refused = not slot.exists and wrong_type(slot, 'counter')
  if refused then return refused end
  local meant = kind ~= 0 and kind or (counter.kind ~= 0 and counter.kind or 2)
  if counter.kind == 3 - meant and (meant == 1 or counters.exists(counter)) then
    return { 'wrong_kind', counter.kind == 1 and 'g' or 'pn' }
  end
  if meant == 1 and by < 0 then return { 'only_grows', '' } end
  -- What is contested is known even where its claim was forgotten.
  local used = op_id ~= '' and (names.op(slot, op_id) or (counter.contested[op_id] or {})[1])
  if used then
    if used.by ~= by then return { 'id_reused', '' } end
    local value = value_of(slot)
    return value and { value } or OUT_OF_RANGE
  end
  local by_h, by_l = normal(0, by)
  local h, l = normal(slot.sum_h + by_h, slot.sum_l + by_l)
  if not is_safe(h, l) then return { 'counter_overflow', 'by' } end
  if op_id ~= '' then
    local full = memory_full(call, slot)
    if full then return { 'opid_memory_full', full } end
    claim_op(call, slot, op_id, by)
  end
  if counter.kind == 2 and is_safe(slot.sum_h, slot.sum_l) then
    slot.pending = slot.pending + 1
    slot.pending_h, slot.pending_l = normal(slot.pending_h + by_h, slot.pending_l + by_l)
  else
    counters.increment(counter, call.incarnation, by_h, by_l, meant)
    if slot.delta then slot.delta.incremented = true end
  end
  slot.sum_h, slot.sum_l = h, l
  slot.exists, slot.dirty_counter = true, true
  return value_of(slot)
end

-- The largest number that counts exactly.
local EXACT_MAX = 9007199254740991

local function increment_once(call, slot, kind, by)
  local one = { args = { by, kind, '' }, at = 0, incarnation = call.incarnation }
  return commands.increment(one, slot)
end

-- `count` increments by the same: how many were counted, which are the first ones, and the value
-- behind them; or what the others were refused for. All at once where no value between can be out of
-- range, since the first and the last are not.
local function increment_often(call, slot, kind, by, count)
  local value, refused, counted = false, false, 0
  while counted < count do
    local left = count - counted
    local h, l = 0, 0
    local is_even = left > 1 and counted > 0 and slot.counter.kind == 2
      and math.abs(by) * left <= EXACT_MAX
    if is_even then
      local by_h, by_l = normal(0, by * left)
      h, l = normal(slot.sum_h + by_h, slot.sum_l + by_l)
    end
    if is_even and is_safe(h, l) then
      local by_h, by_l = normal(0, by * left)
      slot.pending = slot.pending + left
      slot.pending_h, slot.pending_l = normal(slot.pending_h + by_h, slot.pending_l + by_l)
      slot.sum_h, slot.sum_l = h, l
      value, counted = value_of(slot), count
    else
      local result = increment_once(call, slot, kind, by)
      if type(result) == 'table' then
        refused = result
        break
      end
      value, counted = result, counted + 1
    end
  end
  return counted, value, refused
end

-- Increments of one name without operation ids: by how much and how often, in turn. Gives for each
-- pair what `increment_often` gives.
commands.increments = function(call, slot)
  local kind, results = next_of(call), {}
  while call.at < call.behind do
    local counted, value, refused = increment_often(call, slot, kind, number_of(call), number_of(call))
    local n = #results
    results[n + 1], results[n + 2], results[n + 3] = counted, value, refused
  end
  return results
end

commands['counter-get'] = function(_, slot)
  local refused = wrong_type(slot, 'counter')
  if refused then return refused end
  local value = value_of(slot)
  if value == nil then return OUT_OF_RANGE end
  return slot.exists and { value } or value
end

local function reset_counter(call, slot)
  local counter = names.counter(slot)
  flush(call, slot)
  if not counters.reset(counter, slot.delta and slot.delta.resets or {}) then return 0 end
  slot.sum_h, slot.sum_l = counters.sum(counter)
  slot.exists = counters.exists(counter)
  slot.dirty_counter = true
  return 1
end

local function reset_set(slot)
  if names.set(slot).elements == 0 then return 0 end
  elements.clear(slot)
  return 1
end

local function reset_register(slot)
  local register = names.register(slot)
  if #register.versions == 0 then return 0 end
  local delta = registers.reset(register)
  if slot.delta then deltas.write(slot.delta, delta) end
  slot.dirty_register = true
  return 1
end

commands['counter-reset'] = function(call, slot)
  return wrong_type(slot, 'counter') or reset_counter(call, slot)
end

commands['part-put'] = function(call, slot)
  local part = { partition = number_of(call) }
  local log_id = next_of(call)
  part.epoch, part.offset, part.value = number_of(call), number_of(call), number_of(call)
  local replaces = next_of(call) == '1'
  local counter = names.counter(slot)
  local refused = not slot.exists and wrong_type(slot, 'counter')
  if refused then return refused end
  local generation = 0
  if counter.parts ~= nil then
    generation = counter.parts.generation
    if counter.parts.log_id ~= log_id then
      if not replaces then return { 'token_of_another_log', counter.parts.log_id } end
      generation = generation + 1
    end
  end
  flush(call, slot)
  local function delta()
    return { kind = 0, entries = {}, parts = { generation = generation, log_id = log_id, list = { part } }, contested = {} }
  end
  local grew = counters.join(counter, delta())
  if grew then slot.dirty_counter = true end
  -- Of its own: what is joined in is changed by what is joined in later.
  if grew and slot.delta then deltas.put(slot.delta, delta()) end
  slot.sum_h, slot.sum_l = counters.sum(counter)
  slot.exists = true
  local value = value_of(slot)
  if value == nil then return OUT_OF_RANGE end
  return grew and { value } or value
end

commands['set-add'] = function(call, slot)
  local named = elements_of(call, slot)
  local refused = wrong_type(slot, 'set')
  if refused then return refused end
  local set = names.set(slot)
  local fresh, seen, bytes = 0, {}, set.bytes
  for _, element in ipairs(named) do
    if elements.open(slot, element) == nil and not seen[element] then
      seen[element], fresh, bytes = true, fresh + 1, bytes + #element
    end
  end
  if
    fresh > 0
    and (set.elements + fresh > call.set_elements_max or bytes > call.set_bytes_max)
  then
    return { 'body_too_large', '' }
  end
  for _, element in ipairs(named) do
    local dot = { incarnation = call.incarnation }
    dot.seq = contexts.next(set.context, call.incarnation)
    elements.put(slot, element, { dot })
  end
  return fresh
end

commands['set-remove'] = function(call, slot)
  local named = elements_of(call, slot)
  local refused = wrong_type(slot, 'set')
  if refused then return refused end
  names.set(slot)
  for _, element in ipairs(named) do elements.open(slot, element) end
  local removed = 0
  for _, element in ipairs(named) do
    if elements.dots(slot, element) ~= nil then
      elements.put(slot, element, nil)
      removed = removed + 1
    end
  end
  return removed
end

commands['set-has'] = function(call, slot)
  local named = elements_of(call, slot)
  local refused = wrong_type(slot, 'set')
  if refused then return refused end
  names.set(slot)
  local found = 0
  for _, element in ipairs(named) do
    if elements.dots(slot, element) ~= nil then found = found + 1 end
  end
  return found
end

commands['set-get'] = function(_, slot)
  return wrong_type(slot, 'set') or names.set(slot).elements
end

commands['set-reset'] = function(_, slot)
  return wrong_type(slot, 'set') or reset_set(slot)
end

commands['register-put'] = function(call, slot)
  local value = next_of(call)
  local refused = wrong_type(slot, 'register')
  if refused then return refused end
  local register, stamp = names.register(slot), stamp_of(call)
  local delta = registers.write(register, {
    incarnation = call.incarnation,
    hlc_h = tonumber(sub(stamp, 1, 8), 16),
    hlc_l = tonumber(sub(stamp, 9, 16), 16),
    replica = call.replica,
    value = value,
  })
  if slot.delta then deltas.write(slot.delta, delta) end
  slot.dirty_register = true
  return registers.winner(register)
end

commands['register-get'] = function(_, slot)
  return wrong_type(slot, 'register') or registers.winner(names.register(slot))
end

commands['register-reset'] = function(_, slot)
  return wrong_type(slot, 'register') or reset_register(slot)
end

commands['reset-any'] = function(call, slot)
  -- All are read before the first is changed: one that is damaged must change none.
  names.counter(slot)
  names.set(slot)
  names.register(slot)
  names.map(slot)
  local any = reset_counter(call, slot) + reset_set(slot) + reset_register(slot)
  any = any + commands.reset_map(slot)
  return any > 0 and 1 or 0
end

commands['flag-vote'] = function(call, slot)
  local version, flag = number_of(call), names.flag(slot)
  if not flags.join(flag, flags.vote(version, call.replica)) then return { 0, flags.encode(flag) } end
  if slot.delta then deltas.vote(slot.delta, flags.vote(version, call.replica)) end
  slot.dirty_flag = true
  return { 1, flags.encode(flag) }
end

commands['flag-get'] = function(_, slot)
  return { 0, flags.encode(names.flag(slot)) }
end
