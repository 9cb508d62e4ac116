-- The elements of a name's set, read when they are first needed, and written when the call ends.
--
-- A slot has of its set: `places`, the first digits of elements' hashes, which callers tell, since
-- SHA-256 is nothing to compute here; `found`, dots by element, false where it does not stand;
-- `stood`, where and as what it stood before the call; `rows` of pieces; and what was `touched`.
local elements = {}
-- From so many elements on what is written goes into pieces.
local PIECED_FROM = 257

local function key_of(slot, place)
  return names.piece_key(slot.tenant, slot.name, place)
end

local function rows_key(slot)
  return names.key(slot.tenant, 'pieces', slot.name)
end

local function is_cut(set)
  return set.elements > set.uncut.elements
end

local function found_at(slot, place, element, stored)
  local body = record.open_bare(stored)
  slot.stood[element] = { place = place, body = body }
  slot.found[element] = sets.read_element(body)
end

-- The dots of an element; nil: it does not stand.
function elements.dots(slot, element)
  if slot.found[element] == nil then
    slot.found[element] = false
    local before = slot.before or slot.set
    if before.elements > 0 and not slot.cleared then
      local place = slot.places[element]
      local stored = is_cut(before) and redis.call('HGET', key_of(slot, place), element)
      if not stored then
        place = ''
        stored = before.uncut.elements > 0 and redis.call('HGET', key_of(slot, ''), element)
      end
      if stored then found_at(slot, place, element, stored) end
    end
  end
  return slot.found[element] or nil
end

-- The same of one that may be changed: all that this takes is read before the first change. Of what
-- is not cut the place may be unknown: then it stays so.
function elements.open(slot, element)
  local place = slot.places[element]
  if place ~= nil and slot.rows[place] == nil then
    local stored = not slot.cleared and redis.call('HGET', rows_key(slot), place)
    slot.rows[place] = sets.open_row(stored)
  end
  return elements.dots(slot, element)
end

-- Opens all elements that stand.
function elements.open_all(slot)
  if slot.set.elements == 0 then return end
  local places = redis.call('HKEYS', rows_key(slot))
  places[#places + 1] = ''
  for _, place in ipairs(places) do
    local stored = redis.call('HGETALL', key_of(slot, place))
    for i = 1, #stored, 2 do
      local element = stored[i]
      if place ~= '' then slot.places[element] = place end
      if slot.found[element] == nil then found_at(slot, place, element, stored[i + 1]) end
      elements.open(slot, element)
    end
  end
end

-- Replaces an element's dots, and keeps the header's counts in step.
function elements.put(slot, element, list)
  local set, before = slot.set, elements.open(slot, element)
  -- Fails, before anything is written, where the key has another type.
  if next(slot.touched) == nil then
    redis.call('ZCARD', names.key(slot.tenant, 'members', slot.name))
  end
  if slot.before == nil then
    slot.before = { elements = set.elements, uncut = { elements = set.uncut.elements } }
  end
  if before ~= nil then set.elements, set.bytes = set.elements - 1, set.bytes - #element end
  if list ~= nil then set.elements, set.bytes = set.elements + 1, set.bytes + #element end
  slot.found[element] = list or false
  slot.touched[element] = true
  slot.dirty_set = true
  if slot.delta then deltas.touch(slot.delta, element, before, list) end
end

function elements.clear(slot)
  local set = slot.set
  set.elements, set.bytes, set.sum = 0, 0, { 0, 0, 0, 0 }
  set.uncut = { elements = 0, sum = { 0, 0, 0, 0 } }
  slot.cleared, slot.found, slot.touched, slot.dirty_set = true, {}, {}, true
  slot.stood, slot.rows = {}, {}
  if slot.delta then deltas.clear(slot.delta, set.context) end
end

local function drop_pieces(slot)
  for _, place in ipairs(redis.call('HKEYS', rows_key(slot))) do
    redis.call('UNLINK', key_of(slot, place))
  end
  redis.call('UNLINK', rows_key(slot))
end

-- Drops all pieces that there can be, whatever has become of their rows.
function elements.drop(slot)
  for first = 0, 4095, 256 do
    local keys = {}
    for place = first, first + 255 do keys[#keys + 1] = key_of(slot, string.format('%03x', place)) end
    redis.call('UNLINK', unpack(keys))
  end
  redis.call('UNLINK', rows_key(slot), key_of(slot, ''))
end

-- Writes one element; in sums and rows what it was counts no more, and what it is does.
local function write_one(slot, element, goes_to)
  local set, stood, list = slot.set, slot.stood[element], slot.found[element]
  local order = names.key(slot.tenant, 'members', slot.name)
  local function part_of(place)
    return place == '' and set.uncut or slot.rows[place]
  end
  if stood then
    sets.count(stood.body, -1, set.sum, part_of(stood.place))
    if not list or stood.place ~= goes_to then
      redis.call('HDEL', key_of(slot, stood.place), element)
    end
  end
  if list then
    local body = sets.encode_element(element, list)
    sets.count(body, 1, set.sum, part_of(goes_to))
    redis.call('HSET', key_of(slot, goes_to), element, record.seal_bare(body))
    if not stood then redis.call('ZADD', order, 0, element) end
  elseif stood then
    redis.call('ZREM', order, element)
  end
end

function elements.write(slot)
  local set, rows = slot.set, {}
  if slot.cleared then
    drop_pieces(slot)
    redis.call('UNLINK', key_of(slot, ''), names.key(slot.tenant, 'members', slot.name))
  end
  local was_cut = not slot.cleared and is_cut(slot.before or set)
  local cuts = was_cut or set.elements >= PIECED_FROM
  for element in pairs(slot.touched) do
    local place = slot.places[element]
    write_one(slot, element, cuts and place or '')
    if cuts and place ~= nil then rows[place] = slot.rows[place] end
  end
  for place, row in pairs(rows) do
    if row.elements == 0 then redis.call('HDEL', rows_key(slot), place)
    else redis.call('HSET', rows_key(slot), place, sets.seal_row(row)) end
  end
  redis.call('SET', names.key(slot.tenant, 'set', slot.name), sets.seal_header(set))
end

-- Takes elements that are not cut yet into their pieces.
function elements.cut(slot)
  names.set(slot)
  for element in pairs(slot.places) do
    elements.open(slot, element)
    local stood = slot.stood[element]
    if stood ~= nil and stood.place == '' then slot.touched[element] = true end
  end
  local cuts = is_cut(slot.set) or slot.set.elements >= PIECED_FROM
  if cuts and next(slot.touched) ~= nil then elements.write(slot) end
end
