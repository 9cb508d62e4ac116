-- Counters, as packages/crdt/src/counter.ts has them. Kinds are 0 (none yet), 1 (g) and 2 (pn).
local counters = {}

function counters.empty()
  return { kind = 0, entries = {}, parts = nil, contested = {} }
end

local function entry_at(state, incarnation)
  for _, entry in ipairs(state.entries) do
    if entry.incarnation == incarnation then return entry end
  end
  return nil
end

-- The number of an incarnation's next increments.
function counters.next_seq(state, incarnation)
  local entry = entry_at(state, incarnation)
  return (entry and entry.seq or 0) + 1
end

local function encode_parts(log)
  if log == nil then return '\246' end
  local parts = { '\131' .. cbor.int(log.generation) .. cbor.text(log.log_id) }
  parts[2] = cbor.array(#log.list)
  for _, part in ipairs(log.list) do
    parts[#parts + 1] = '\132'
      .. cbor.int(part.partition)
      .. cbor.int(part.epoch)
      .. cbor.int(part.offset)
      .. cbor.int(part.value)
  end
  return concat(parts)
end

-- Type 1 as long as nothing is contested: then a counter has the bytes that it always had.
function counters.encode(state)
  local is_contested = next(state.contested) ~= nil
  local head = is_contested and '\134\1\20' or '\133\1\1'
  local parts = { head, cbor.int(state.kind), cbor.array(#state.entries) }
  for _, entry in ipairs(state.entries) do
    parts[#parts + 1] = '\133'
      .. cbor.incarnation(entry.incarnation)
      .. cbor.int(entry.seq)
      .. cbor.wide(entry.net_h, entry.net_l)
      .. cbor.int(entry.reset_seq)
      .. cbor.wide(entry.reset_h, entry.reset_l)
  end
  parts[#parts + 1] = encode_parts(state.parts)
  if is_contested then parts[#parts + 1] = claims.encode_contested(state.contested) end
  return concat(parts)
end

local function read_parts(s, at)
  if byte(s, at) == 246 then return nil, at + 1 end
  local members, count
  members, at = cbor.read_array(s, at)
  if members ~= 3 then damaged('parts were expected') end
  local log = { list = {} }
  log.generation, at = cbor.read_int(s, at)
  log.log_id, at = cbor.read_text(s, at)
  count, at = cbor.read_array(s, at)
  for n = 1, count do
    local part = {}
    members, at = cbor.read_array(s, at)
    if members ~= 4 then damaged('a part was expected') end
    part.partition, at = cbor.read_int(s, at)
    part.epoch, at = cbor.read_int(s, at)
    part.offset, at = cbor.read_int(s, at)
    part.value, at = cbor.read_int(s, at)
    log.list[n] = part
  end
  return log, at
end

function counters.read(s)
  local is_contested = byte(s, 1) == 134
  local at = is_contested and cbor.open(s, 1, 6, 20) or cbor.open(s, 1, 5, 1)
  local state, count, members = counters.empty(), nil, nil
  state.kind, at = cbor.read_int(s, at)
  count, at = cbor.read_array(s, at)
  for n = 1, count do
    local entry = {}
    members, at = cbor.read_array(s, at)
    if members ~= 5 then damaged('an entry was expected') end
    entry.incarnation, at = cbor.read_incarnation(s, at)
    entry.seq, at = cbor.read_int(s, at)
    entry.net_h, entry.net_l, at = cbor.read_wide(s, at)
    entry.reset_seq, at = cbor.read_int(s, at)
    entry.reset_h, entry.reset_l, at = cbor.read_wide(s, at)
    state.entries[n] = entry
  end
  state.parts, at = read_parts(s, at)
  if is_contested then state.contested = claims.read_contested(s, at) end
  return state
end

-- Whether the increments that a claim is part of are here, and whether a reset has taken them away.
local function is_here(state, claim)
  local entry = entry_at(state, claim.incarnation)
  return claim.seq <= (entry and entry.seq or 0)
end

local function is_reset(state, claim)
  local entry = entry_at(state, claim.incarnation)
  return claim.seq <= (entry and entry.reset_seq or 0)
end

-- Of each contested id all claims but the least that is here are taken back.
local function excess(state)
  local h, l = 0, 0
  for _, list in pairs(state.contested) do
    local counted = false
    for _, claim in ipairs(list) do
      if is_here(state, claim) then
        if counted and not is_reset(state, claim) then
          local by_h, by_l = normal(0, claim.by)
          h, l = normal(h + by_h, l + by_l)
        end
        counted = true
      end
    end
  end
  return h, l
end

-- Without the claims that can not matter any more; nil: none is left.
function counters.normal_claims(state, list)
  local kept, met = {}, false
  for _, claim in ipairs(list) do
    local reset = is_reset(state, claim)
    if not (met and reset) then kept[#kept + 1] = claim end
    met = met or reset
  end
  if met and #kept < 2 then return nil end
  return kept
end

-- Gives whether anything changed.
function counters.contest(state, op_id, list)
  local before, kept = state.contested[op_id], counters.normal_claims(state, list)
  state.contested[op_id] = kept
  return not claims.same(before or {}, kept or {})
end

local function drop_reset(state)
  local ids = {}
  for op_id in pairs(state.contested) do ids[#ids + 1] = op_id end
  for _, op_id in ipairs(ids) do counters.contest(state, op_id, state.contested[op_id]) end
end

-- The value as a wide number.
function counters.sum(state)
  local h, l = 0, 0
  for _, entry in ipairs(state.entries) do
    h = h + entry.net_h - entry.reset_h
    l = l + entry.net_l - entry.reset_l
  end
  if state.parts ~= nil then
    for _, part in ipairs(state.parts.list) do
      local part_h, part_l = normal(0, part.value)
      h, l = h + part_h, l + part_l
    end
  end
  if next(state.contested) ~= nil then
    local excess_h, excess_l = excess(state)
    h, l = h - excess_h, l - excess_l
  end
  return normal(h, l)
end

function counters.exists(state)
  if state.parts ~= nil then return true end
  for _, entry in ipairs(state.entries) do
    if entry.seq > entry.reset_seq then return true end
  end
  return false
end

-- The entry of an incarnation, made at its place in the order where there is none.
local function entry_of(state, incarnation)
  for i, entry in ipairs(state.entries) do
    if entry.incarnation == incarnation then return entry end
    if less(incarnation, entry.incarnation) then
      local made = { incarnation = incarnation, seq = 0, net_h = 0, net_l = 0 }
      made.reset_seq, made.reset_h, made.reset_l = 0, 0, 0
      table.insert(state.entries, i, made)
      return made
    end
  end
  local made = { incarnation = incarnation, seq = 0, net_h = 0, net_l = 0 }
  made.reset_seq, made.reset_h, made.reset_l = 0, 0, 0
  state.entries[#state.entries + 1] = made
  return made
end

function counters.increment(state, incarnation, by_h, by_l, kind)
  local entry = entry_of(state, incarnation)
  entry.seq = entry.seq + 1
  entry.net_h, entry.net_l = normal(entry.net_h + by_h, entry.net_l + by_l)
  if kind > state.kind then state.kind = kind end
end

-- Takes away what is there, and marks in `resets` of which incarnations. Returns whether anything was.
function counters.reset(state, resets)
  local any = false
  for _, entry in ipairs(state.entries) do
    if entry.seq > entry.reset_seq then
      entry.reset_seq, entry.reset_h, entry.reset_l = entry.seq, entry.net_h, entry.net_l
      resets[entry.incarnation] = true
      any = true
    end
  end
  if any then drop_reset(state) end
  return any
end

local function is_later(a, b)
  if a.epoch ~= b.epoch then return a.epoch > b.epoch end
  if a.offset ~= b.offset then return a.offset > b.offset end
  return a.value > b.value
end

local function join_parts(state, theirs)
  local mine = state.parts
  if
    mine == nil
    or theirs.generation > mine.generation
    or (theirs.generation == mine.generation and less(mine.log_id, theirs.log_id))
  then
    state.parts = theirs
    return true
  end
  if theirs.generation ~= mine.generation or theirs.log_id ~= mine.log_id then return false end
  local grew = false
  for _, part in ipairs(theirs.list) do
    local at, found = #mine.list + 1, nil
    for i, each in ipairs(mine.list) do
      if each.partition == part.partition then found = i end
      if each.partition > part.partition then
        at = i
        break
      end
    end
    if found == nil then
      table.insert(mine.list, at, part)
      grew = true
    elseif is_later(part, mine.list[found]) then
      mine.list[found] = part
      grew = true
    end
  end
  return grew
end

-- Joins `source` into `target`, but for what is contested: see joins. Returns whether `target` grew.
function counters.join(target, source)
  local grew, was_reset = false, false
  if source.kind > target.kind then
    target.kind = source.kind
    grew = true
  end
  for _, theirs in ipairs(source.entries) do
    local mine = entry_of(target, theirs.incarnation)
    if theirs.seq > mine.seq then
      mine.seq, mine.net_h, mine.net_l = theirs.seq, theirs.net_h, theirs.net_l
      grew = true
    end
    if theirs.reset_seq > mine.reset_seq then
      mine.reset_seq, mine.reset_h, mine.reset_l = theirs.reset_seq, theirs.reset_h, theirs.reset_l
      grew, was_reset = true, true
    end
  end
  if was_reset then drop_reset(target) end
  if source.parts ~= nil and join_parts(target, source.parts) then grew = true end
  return grew
end
