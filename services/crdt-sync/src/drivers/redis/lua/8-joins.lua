-- What came about elsewhere, joined with what is there. As in domain/apply-join.ts nothing refuses it.
local joins = {}

local function read_if(reader, text)
  if text ~= '' then return reader(text, 1) end
  return nil
end

-- The arguments of one join, whatever is in them.
function joins.words(call)
  local words = { counter = next_of(call), register = next_of(call), flag = next_of(call) }
  words.map = next_of(call)
  words.patch, words.places = next_of(call), next_of(call)
  words.cleared, words.seen = next_of(call), next_of(call)
  words.ops = {}
  for i = 1, number_of(call) do
    local op_id, by, stamp, hex = next_of(call), number_of(call), next_of(call), next_of(call)
    words.ops[op_id] = claims.of(by, stamp, hex, number_of(call), number_of(call))
  end
  return words
end

local function known_claims(contested, claim)
  return claims.unite(contested or {}, claim and { claim } or {})
end

-- Claims of one id, not all of which either side knows to be so: others must be told.
local function is_found(slot, delta, op_id, all)
  local mine, theirs = slot.counter.contested[op_id] or {}, delta.contested[op_id] or {}
  if #all < 2 or #mine >= #all or #theirs >= #all then return false end
  return counters.normal_claims(slot.counter, all) and counters.normal_claims(delta, all)
end

local function join_counter(slot, delta, ops)
  delta = delta or counters.empty()
  local united, found = {}, {}
  for _, by_id in ipairs({ ops, delta.contested }) do
    for op_id in pairs(by_id) do
      local mine = known_claims(slot.counter.contested[op_id], names.op(slot, op_id))
      united[op_id] = claims.unite(mine, known_claims(delta.contested[op_id], ops[op_id]))
      local all = united[op_id]
      if #mine > 0 and is_found(slot, delta, op_id, all) then found[op_id] = all end
    end
  end
  for op_id, all in pairs(found) do
    slot.contested = slot.contested or {}
    slot.contested[op_id] = all
  end
  local grew = counters.join(slot.counter, delta)
  for op_id, all in pairs(united) do
    local mine, theirs = names.op(slot, op_id), ops[op_id]
    if theirs and (mine == nil or claims.less(theirs, mine)) then
      names.use_op(slot, op_id, theirs)
      grew = true
    end
    if #all > 1 and #all > #(slot.counter.contested[op_id] or {}) then
      grew = counters.contest(slot.counter, op_id, all) or grew
    end
  end
  if grew then slot.dirty_counter = true end
  return grew
end

local function join_element(slot, part)
  local kept, changed = {}, false
  for _, dot in ipairs(elements.dots(slot, part.element) or {}) do
    if dots.has(part.dots, dot) or not contexts.has(part.context, dot) then kept[#kept + 1] = dot
    else changed = true end
  end
  for _, dot in ipairs(part.dots) do
    if not contexts.has(slot.set.context, dot) then
      kept[#kept + 1] = dot
      changed = true
    end
  end
  if not changed then return false end
  table.sort(kept, dots.less)
  elements.put(slot, part.element, #kept > 0 and kept or nil)
  return true
end

-- What a reset has seen may stand on any element.
local function join_reset(slot, cleared)
  local changed = {}
  for element, list in pairs(slot.found) do
    local kept = {}
    for _, dot in ipairs(list or {}) do
      if not contexts.has(cleared, dot) then kept[#kept + 1] = dot end
    end
    if list and #kept < #list then changed[element] = kept end
  end
  for element, kept in pairs(changed) do
    elements.put(slot, element, #kept > 0 and kept or nil)
  end
  return next(changed) ~= nil
end

local function join_set(slot, patch, cleared, seen)
  local grew = false
  for _, part in ipairs(patch) do grew = join_element(slot, part) or grew end
  -- After the patch: what that adds may have been removed by the reset of a later commit.
  if cleared ~= nil then grew = join_reset(slot, cleared) or grew end
  -- Only now: what was in the context before tells what is fresh.
  grew = contexts.join(slot.set.context, seen) or grew
  if grew then slot.dirty_set = true end
  return grew
end

local function open_patch(slot, patch, places)
  local named = {}
  for i, part in ipairs(patch) do named[i] = part.element end
  read_places(slot, places, named)
  for _, element in ipairs(named) do elements.open(slot, element) end
end

-- Gives 1 where anything grew, else 0. All is read before the first change: what is damaged changes
-- nothing.
function joins.join(call, slot)
  local words = call.words
  local counter, register = read_if(counters.read, words.counter), read_if(registers.read, words.register)
  local patch, cleared = read_if(sets.read_patch, words.patch), read_if(contexts.read, words.cleared)
  local seen, flag = read_if(contexts.read, words.seen), read_if(flags.read, words.flag)
  local map = read_if(maps.read, words.map)
  local has_counter = counter ~= nil or next(words.ops) ~= nil
  if has_counter then names.counter(slot) end
  if register ~= nil then names.register(slot) end
  if flag ~= nil then names.flag(slot) end
  if map ~= nil then names.map(slot) end
  if seen ~= nil then
    names.set(slot)
    open_patch(slot, patch or {}, words.places)
    -- What was never seen here stands on nothing.
    if cleared ~= nil and contexts.overlap(cleared, slot.set.context) then elements.open_all(slot) end
  end
  local grew = has_counter and join_counter(slot, counter, words.ops)
  grew = seen ~= nil and join_set(slot, patch or {}, cleared, seen) or grew
  if register ~= nil and registers.join(slot.register, register) then
    slot.dirty_register = true
    grew = true
  end
  if flag ~= nil and flags.join(slot.flag, flag) then
    slot.dirty_flag = true
    grew = true
  end
  if map ~= nil and maps.join(slot.map, map) then
    slot.dirty_map, slot.map_bytes = true, nil
    grew = true
  end
  grew = names.relist(slot) or grew
  return grew and 1 or 0
end
