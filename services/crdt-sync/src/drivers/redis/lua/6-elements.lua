-- The elements of a name's set, read when they are first needed, and written when the call ends.
--
-- A slot has of its set: `places`, the first digits of elements' hashes, which callers tell, since
-- SHA-256 is nothing to compute here; `found`, dots by element, false where it does not stand;
-- `stood`, where and as what it stood before the call; `rows` of pieces; and what was `touched`.
local elements = {}
-- From so many elements on what is written goes into pieces.
local PIECED_FROM = 257
-- From so many elements on a piece is taken into buckets: Redis looks through all of a hash that has
-- few fields, up to 512, so an add would cost the more the larger the set is.
local BUCKETED_FROM = 65

local function key_of(slot, place)
  return names.piece_key(slot.tenant, slot.name, place)
end

local function rows_key(slot)
  return names.key(slot.tenant, 'pieces', slot.name)
end

local function is_cut(set)
  return set.elements > set.uncut.elements
end

local function row_of(slot, place)
  if slot.rows[place] == nil then
    local stored = not slot.cleared and redis.call('HGET', rows_key(slot), place)
    slot.rows[place] = sets.open_row(stored)
  end
  return slot.rows[place]
end

-- Where an element is among those that are cut.
local function spot_of(slot, element)
  local place = slot.places[element]
  return row_of(slot, place).is_bucketed and names.bucket(place, element) or place
end

-- Where all elements of a piece are.
local function spots_of(place, row)
  return sets.is_bucketed(row) and names.buckets(place) or { place }
end

local function found_at(slot, spot, element, stored)
  local body = record.open_bare(stored)
  slot.stood[element] = { spot = spot, body = body }
  slot.found[element] = sets.read_element(body)
end

-- The dots of an element; nil: it does not stand.
function elements.dots(slot, element)
  if slot.found[element] == nil then
    slot.found[element] = false
    local before = slot.before or slot.set
    if before.elements > 0 and not slot.cleared then
      local spot = is_cut(before) and spot_of(slot, element)
      local stored = spot and redis.call('HGET', key_of(slot, spot), element)
      if not stored then
        spot = ''
        stored = before.uncut.elements > 0 and redis.call('HGET', key_of(slot, ''), element)
      end
      if stored then found_at(slot, spot, element, stored) end
    end
  end
  return slot.found[element] or nil
end

-- The same of one that may be changed: all that this takes is read before the first change. Of what
-- is not cut the place may be unknown: then it stays so.
function elements.open(slot, element)
  local place = slot.places[element]
  if place ~= nil then row_of(slot, place) end
  return elements.dots(slot, element)
end

-- Opens all elements that stand.
function elements.open_all(slot)
  if slot.set.elements == 0 then return end
  local rows = redis.call('HGETALL', rows_key(slot))
  rows[#rows + 1], rows[#rows + 2] = '', false
  for n = 1, #rows, 2 do
    local place = rows[n]
    for _, spot in ipairs(spots_of(place, rows[n + 1])) do
      local stored = redis.call('HGETALL', key_of(slot, spot))
      for i = 1, #stored, 2 do
        local element = stored[i]
        if place ~= '' then slot.places[element] = place end
        if slot.found[element] == nil then found_at(slot, spot, element, stored[i + 1]) end
        elements.open(slot, element)
      end
    end
  end
end

-- All elements of a piece with their records, as its row says where they are.
function elements.stored_in(tenant, name, place, row)
  local all = {}
  for _, spot in ipairs(spots_of(place, row)) do
    local stored = redis.pcall('HGETALL', names.piece_key(tenant, name, spot))
    -- Somebody has put a value of another of Redis's types there.
    if stored.err then return '' end
    for i = 1, #stored do all[#all + 1] = stored[i] end
  end
  return all
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

local function drop_all(slot, spots)
  local keys = {}
  for i, spot in ipairs(spots) do keys[i] = key_of(slot, spot) end
  redis.call('UNLINK', unpack(keys))
end

local function drop_pieces(slot)
  local rows = redis.call('HGETALL', rows_key(slot))
  for i = 1, #rows, 2 do drop_all(slot, spots_of(rows[i], rows[i + 1])) end
  redis.call('UNLINK', rows_key(slot))
end

-- Drops all pieces that there can be, whatever has become of their rows.
function elements.drop(slot)
  for number = 0, 4095 do
    local place = string.format('%03x', number)
    local spots = names.buckets(place)
    spots[#spots + 1] = place
    drop_all(slot, spots)
  end
  redis.call('UNLINK', rows_key(slot), key_of(slot, ''))
end

-- Takes all elements of a piece into its buckets.
local function into_buckets(slot, place, row)
  drop_all(slot, names.buckets(place))
  local stored = redis.call('HGETALL', key_of(slot, place))
  for i = 1, #stored, 2 do
    local bucket = names.bucket(place, stored[i])
    redis.call('HSET', key_of(slot, bucket), stored[i], stored[i + 1])
  end
  redis.call('UNLINK', key_of(slot, place))
  row.is_bucketed = true
end

-- Writes one element; in sums and rows what it was counts no more, and what it is does.
local function write_one(slot, element, goes_to)
  local set, stood, list = slot.set, slot.stood[element], slot.found[element]
  local order = names.key(slot.tenant, 'members', slot.name)
  local function part_of(spot)
    return spot == '' and set.uncut or slot.rows[sub(spot, 1, PLACE_DIGITS)]
  end
  if stood then
    sets.count(stood.body, -1, set.sum, part_of(stood.spot))
    if not list or stood.spot ~= goes_to then
      redis.call('HDEL', key_of(slot, stood.spot), element)
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
    local is_placed = cuts and place ~= nil
    write_one(slot, element, is_placed and spot_of(slot, element) or '')
    if is_placed then rows[place] = slot.rows[place] end
  end
  for place, row in pairs(rows) do
    if row.elements >= BUCKETED_FROM and not row.is_bucketed then into_buckets(slot, place, row) end
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
    if stood ~= nil and stood.spot == '' then slot.touched[element] = true end
  end
  local cuts = is_cut(slot.set) or slot.set.elements >= PIECED_FROM
  if cuts and next(slot.touched) ~= nil then elements.write(slot) end
end
