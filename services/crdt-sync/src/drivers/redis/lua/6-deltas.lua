-- What a call changes by itself of a name, as deltas that others join in: gathered where the caller
-- wants to tell them; elsewhere `slot.delta` is nil.
local deltas = {}

function deltas.begin()
  return { incremented = false, resets = {}, parts = nil, cleared = nil, seen = {}, register = nil, flag = nil, map = nil }
end

-- An element's dots before, and those that took their place.
function deltas.touch(delta, element, before, list)
  local seen = delta.seen[element]
  if seen == nil then
    seen = {}
    for _, dot in ipairs(before or {}) do seen[#seen + 1] = dot end
    delta.seen[element] = seen
  end
  for _, dot in ipairs(list or {}) do seen[#seen + 1] = dot end
end

-- A reset of the set has seen all that the call did before.
function deltas.clear(delta, context)
  delta.cleared, delta.seen = contexts.clone(context), {}
end

function deltas.write(delta, written)
  if delta.register == nil then delta.register = registers.empty() end
  registers.join(delta.register, written)
end

function deltas.vote(delta, vote)
  if delta.flag == nil then delta.flag = flags.empty() end
  flags.join(delta.flag, vote)
end

-- A change of a map, made of what the map was before it.
function deltas.change_map(delta, keys, change)
  if delta.map == nil then delta.map = maps.empty() end
  maps.join_at(delta.map, keys, change)
end

function deltas.put(delta, part)
  if delta.parts == nil then delta.parts = counters.empty() end
  counters.join(delta.parts, part)
end

-- Of the entries, those that the call has raised: its own, and those of which it reset what it saw.
local function encode_counter(slot, incarnation)
  local delta, entries = slot.delta, {}
  if not (delta.incremented or next(delta.resets) or delta.parts) then return false end
  for _, entry in ipairs(slot.counter.entries) do
    local is_own = delta.incremented and entry.incarnation == incarnation
    local is_reset = delta.resets[entry.incarnation]
    if is_own or is_reset then
      entries[#entries + 1] = {
        incarnation = entry.incarnation,
        seq = is_own and entry.seq or entry.reset_seq,
        net_h = is_own and entry.net_h or entry.reset_h,
        net_l = is_own and entry.net_l or entry.reset_l,
        reset_seq = is_reset and entry.reset_seq or 0,
        reset_h = is_reset and entry.reset_h or 0,
        reset_l = is_reset and entry.reset_l or 0,
      }
    end
  end
  local kind = delta.incremented and slot.counter.kind or 0
  local parts = delta.parts and delta.parts.parts
  return counters.encode({ kind = kind, entries = entries, parts = parts, contested = {} })
end

-- Two records for each element: the dots on which it stands, and those that were seen.
local function encode_patch(slot)
  local records = {}
  for element, seen in pairs(slot.delta.seen) do
    records[#records + 1] = sets.encode_element(element, slot.found[element] or {})
    records[#records + 1] = sets.encode_element(element, seen)
  end
  return records
end

local function ops_of(slot)
  local ops = {}
  for _, op in ipairs(slot.ops or {}) do
    ops[#ops + 1] = op[1]
    ops[#ops + 1] = claims.seal(op[2])
  end
  return ops
end

-- What a join has found to be contested, in the same form; false where nothing.
function deltas.encode_found(slot, place)
  if slot.contested == nil then return false end
  local ops = {}
  for op_id, list in pairs(slot.contested) do
    ops[#ops + 1] = op_id
    ops[#ops + 1] = claims.seal(list[1])
  end
  local counter = counters.encode({ kind = 0, entries = {}, parts = nil, contested = slot.contested })
  return { place, counter, false, false, {}, ops, false, false }
end

-- {place, counter, register, cleared, patch, ops, flag, map}: records, or false where nothing of it has changed.
function deltas.encode(slot, place, incarnation)
  local delta = slot.delta
  return {
    place,
    encode_counter(slot, incarnation),
    delta.register ~= nil and registers.encode(delta.register),
    delta.cleared ~= nil and contexts.encode(delta.cleared),
    encode_patch(slot),
    ops_of(slot),
    delta.flag ~= nil and flags.encode(delta.flag),
    delta.map ~= nil and maps.encode(delta.map),
  }
end
