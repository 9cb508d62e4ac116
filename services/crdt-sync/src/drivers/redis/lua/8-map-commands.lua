-- What services/crdt-sync/src/domain/apply-map.ts does with one command.
local MAP_TOO_LARGE = { 'body_too_large', 'map' }

local function change_map(slot, keys, delta)
  maps.join_at(slot.map, keys, delta)
  if slot.delta then deltas.change_map(slot.delta, keys, delta) end
  slot.dirty_map = true
end

-- Gives false where the map would have too many bytes. What is kept of them is no less than it has.
local function grow_map(call, slot, keys, delta)
  local bytes = #maps.encode(delta)
  if slot.map_bytes == nil or slot.map_bytes + bytes > call.map_bytes_max then
    slot.map_bytes = #maps.encode(slot.map)
  end
  if slot.map_bytes + bytes > call.map_bytes_max then return false end
  slot.map_bytes = slot.map_bytes + bytes
  change_map(slot, keys, delta)
  return true
end

commands['map-increment'] = function(call, slot)
  local by, keys = number_of(call), texts_of(call)
  local refused = wrong_type(slot, 'map')
  if refused then return refused end
  local map = names.map(slot)
  local h, l = maps.sum(map, keys)
  local by_h, by_l = normal(0, by)
  h, l = normal(h + by_h, l + by_l)
  if not is_safe(h, l) then return { 'counter_overflow', 'by' } end
  local delta = maps.increment(map, keys, call.incarnation, by)
  return grow_map(call, slot, keys, delta) and h * TWO32 + l or MAP_TOO_LARGE
end

commands['map-add'] = function(call, slot)
  local keys = texts_of(call)
  local refused = wrong_type(slot, 'map')
  if refused then return refused end
  local map = names.map(slot)
  local stood = maps.find(map, keys) ~= nil
  local delta = maps.add(map, keys, call.incarnation)
  if not grow_map(call, slot, keys, delta) then return MAP_TOO_LARGE end
  return stood and 0 or 1
end

commands['map-write'] = function(call, slot)
  local value, keys = next_of(call), texts_of(call)
  local refused = wrong_type(slot, 'map')
  if refused then return refused end
  local map, stamp = names.map(slot), stamp_of(call)
  local delta = maps.write(map, keys, {
    incarnation = call.incarnation,
    hlc_h = tonumber(sub(stamp, 1, 8), 16),
    hlc_l = tonumber(sub(stamp, 9, 16), 16),
    replica = call.replica,
    value = value,
  })
  if not grow_map(call, slot, keys, delta) then return MAP_TOO_LARGE end
  return maps.winner(map, keys)
end

local function remove_from_map(slot, keys)
  local delta = maps.remove(names.map(slot), keys)
  if #delta.context == 0 then return 0 end
  change_map(slot, keys, delta)
  return 1
end

commands['map-remove'] = function(call, slot)
  local keys = texts_of(call)
  return wrong_type(slot, 'map') or remove_from_map(slot, keys)
end

commands['map-reset'] = function(_, slot)
  return wrong_type(slot, 'map') or remove_from_map(slot, {})
end

commands['map-get'] = function(_, slot)
  return wrong_type(slot, 'map') or maps.encode(names.map(slot))
end

-- Beside what else stands under the name.
function commands.reset_map(slot)
  return remove_from_map(slot, {})
end
